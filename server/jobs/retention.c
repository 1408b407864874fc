/*
 * Retention: see retention.h. A round looks at the oldest finished jobs, asks for the deletion of those that must go,
 * and the next round waits until these are durable, since only then the store's size is known again. Rounds are small,
 * so that a first start with a bound on a large store does not hold up the loop.
 *
 * The file does not shrink: SQLite uses its free pages again. What counts is the bytes that rows take.
 */
#include "server/jobs/retention.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/log.h"

#define ROUND_MOST 64 /* jobs */
#define EVERY_MILLISECONDS 5000
#define DAY_MILLISECONDS INT64_C(86400000)
#define JUMP_MILLISECONDS INT64_C(3600000)

struct round {
    char ids[ROUND_MOST][STORE_ID_BYTES];
    int count;
    int64_t before; /* jobs that ended before this go, Unix ms */
    int64_t excess; /* bytes that must go */
};

static bool round_add(void *user, const char *id, int64_t finished, int64_t bytes) {
    struct round *round = user;
    if (finished >= round->before && round->excess <= 0) {
        return false;
    }
    memcpy(round->ids[round->count++], id, STORE_ID_BYTES);
    round->excess -= bytes;
    return round->count < ROUND_MOST;
}

static void deleted(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct retention *retention = user;
    retention->deleting--;
    if (result == JOBS_DONE) {
        log_info("job deleted by retention", LOG_T("job", id));
    } else if (result != JOBS_UNKNOWN) {
        log_warning("a job could not be deleted by retention", LOG_T("job", id), LOG_T("reason", detail));
    }
}

/*
 * Whether ages can be believed now. The time since boot goes on while the machine sleeps, so that waking up is no jump.
 */
static bool ages_hold(struct retention *retention, uint64_t now) {
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t offset = clock_unix_milliseconds() - ((int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000);
    if (retention->offset != 0 && llabs(offset - retention->offset) > JUMP_MILLISECONDS) {
        log_warning("the clock has jumped; for a day no job is deleted for its age",
                    LOG_I("seconds", (offset - retention->offset) / 1000));
        retention->ages_from = now + (uint64_t)DAY_MILLISECONDS;
    }
    retention->offset = offset;
    return now >= retention->ages_from;
}

void retention_tick(struct retention *retention, struct jobs *jobs, struct store_reader *reader, uint64_t now) {
    struct round round = {.before = INT64_MIN};
    if ((retention->days == 0 && retention->bytes == 0) || now < retention->due || retention->deleting > 0 ||
        jobs_are_stalled(jobs)) {
        return;
    }
    bool ages = ages_hold(retention, now);
    if (retention->days > 0 && ages) {
        round.before = clock_unix_milliseconds() - retention->days * DAY_MILLISECONDS;
    }
    if (retention->bytes > 0) {
        round.excess = store_bytes_used(reader) - retention->bytes;
    }
    int looked = store_jobs_oldest(reader, ROUND_MOST, round_add, &round);
    if (looked < 0) {
        log_warning("retention cannot read the jobs");
    }
    retention->due = now + (round.count == ROUND_MOST ? 0 : EVERY_MILLISECONDS);
    retention->deleting = round.count;
    for (int i = 0; i < round.count; i++) {
        jobs_act(jobs, round.ids[i], JOBS_DELETE, deleted, retention);
    }
}
