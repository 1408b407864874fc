/* Spikes of a dataset: see spikes.h. */
#include "server/datasets/spikes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

size_t spikes_memory(const struct split *split) {
    return (split->shape[1] + 1) * sizeof(size_t) +
           split->spikes[SPIKE_UNITS]->count * (sizeof(uint32_t) + sizeof(uint16_t));
}

/* ---- checking ---- */

struct spikes_check {
    const struct split *split;
    double trial, time; /* of the spike before */
    char *error;
};

/* False, with a sentence, if an entry is not an index below the length that the shape gives. */
static bool index_is_good(const struct spikes_check *check, const struct safetensor *tensor, double index, size_t entry,
                          enum spike_tensor which) {
    static const struct {
        const char *what;
        int length; /* index in the shape */
    } kinds[SPIKE_TENSORS] = {
        [SPIKE_TRIALS] = {"trials", 1}, [SPIKE_TIMES] = {"steps", 0}, [SPIKE_UNITS] = {"inputs", 2}};
    size_t length = check->split->shape[kinds[which].length];
    if (index >= 0 && index < (double)length) {
        return true;
    }
    snprintf(check->error, DATASET_ERROR_BYTES,
             "the tensor %s must hold integers from 0 to %zu, below the %s of the metadata's shape; entry [%zu] is "
             "%.0f",
             tensor->name, length - 1, kinds[which].what, entry, index);
    return false;
}

static bool take_check(void *user, const struct safetensor parts[TENSORS_ABREAST], size_t first) {
    struct spikes_check *check = user;
    for (size_t i = 0; i < parts[SPIKE_UNITS].count; i++) {
        double spike[SPIKE_TENSORS];
        for (enum spike_tensor k = 0; k < SPIKE_TENSORS; k++) {
            spike[k] = safetensor_number(&parts[k], i);
            if (!index_is_good(check, &parts[k], spike[k], first + i, k)) {
                return false;
            }
        }
        double trial = spike[SPIKE_TRIALS], time = spike[SPIKE_TIMES];
        if (trial < check->trial || (trial == check->trial && time < check->time)) {
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the spikes must be in the order of %s, and of one trial in the order of %s; entry [%zu], trial "
                     "%.0f and time %.0f, follows trial %.0f and time %.0f",
                     parts[SPIKE_TRIALS].name, parts[SPIKE_TIMES].name, first + i, trial, time, check->trial,
                     check->time);
            return false;
        }
        check->trial = trial;
        check->time = time;
    }
    return true;
}

int spikes_check(struct blocks *blocks, const struct split *split, const struct dataset_patience *patience, bool *sound,
                 char error[DATASET_ERROR_BYTES]) {
    struct spikes_check check = {.split = split, .error = error};
    return tensors_walk(blocks, split->spikes, patience, take_check, &check, sound);
}

/* ---- loading ---- */

struct spikes_load {
    const struct split *split;
    size_t *first;
    uint32_t *ticks;
    uint16_t *units;
};

/* Counts each trial's spikes in first[trial + 1]. */
static bool take_load(void *user, const struct safetensor parts[TENSORS_ABREAST], size_t first) {
    const struct spikes_load *load = user;
    const size_t *shape = load->split->shape;
    for (size_t i = 0; i < parts[SPIKE_UNITS].count; i++) {
        double trial = safetensor_number(&parts[SPIKE_TRIALS], i), time = safetensor_number(&parts[SPIKE_TIMES], i),
               unit = safetensor_number(&parts[SPIKE_UNITS], i);
        if (!(trial >= 0 && trial < (double)shape[1] && time >= 0 && time < (double)shape[0] && unit >= 0 &&
              unit < (double)shape[2])) {
            return false; /* it was checked: the disk has changed it since */
        }
        load->first[(size_t)trial + 1]++;
        load->ticks[first + i] = (uint32_t)time;
        load->units[first + i] = (uint16_t)unit;
    }
    return true;
}

int spikes_load(struct blocks *blocks, const struct split *split, size_t *first, uint32_t *ticks, uint16_t *units) {
    struct spikes_load load = {split, first, ticks, units};
    bool taken = true;
    memset(first, 0, (split->shape[1] + 1) * sizeof *first);
    int number = tensors_walk(blocks, split->spikes, NULL, take_load, &load, &taken);
    for (size_t i = 1; i <= split->shape[1]; i++) {
        first[i] += first[i - 1];
    }
    return number == 0 && !taken ? EIO : number;
}
