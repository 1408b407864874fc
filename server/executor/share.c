/* Cores for attempts: see executor.h. Loop thread. */
#include "server/base/thread.h"
#include "server/executor/executor.h"

void executor_share(const struct executor *executor, struct attempt *const *attempts, size_t count, int cores) {
    const struct executor_operations *operations = executor->operations;
    static int given[POOL_MOST], most[POOL_MOST];
    int left = cores;
    for (size_t i = 0; i < count; i++) {
        struct attempt_view view;
        operations->look(attempts[i], &view);
        given[i] = 1;
        most[i] = view.on_device ? 1 : view.threads_most;
        left -= !view.on_device;
    }
    for (bool gave = true; gave && left > 0;) {
        gave = false;
        for (size_t i = 0; left > 0 && i < count; i++) {
            if (most[i] == 0 || given[i] < most[i]) {
                given[i]++;
                left--;
                gave = true;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        operations->share(attempts[i], given[i]);
    }
}
