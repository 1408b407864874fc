/*
 * How often a job evaluates if it leaves that open: see train_cadence in train.h.
 *
 * An evaluation of n trials costs n forward passes, an update at least batch_size of them. So 4 n / batch_size updates
 * between two evaluations keep evaluation to at most a fifth of the work. That number is rounded up to a round number,
 * and is at least 20, the published cadence.
 */
#include "core/train/train.h"

int64_t train_cadence(size_t trials, int batch_size) {
    static const int tenths[] = {10, 15, 20, 25, 30, 40, 50, 60, 80, 100};
    int64_t least = (int64_t)((4 * trials + (size_t)batch_size - 1) / (size_t)batch_size), power = 10;
    least = least > 20 ? least : 20;
    while (10 * power < least) {
        power *= 10;
    }
    size_t i = 0;
    while (tenths[i] * power / 10 < least) {
        i++;
    }
    return tenths[i] * power / 10;
}
