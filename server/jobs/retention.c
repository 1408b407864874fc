/*
 * Retention: see retention.h. A round looks at the jobs that finished first and asks for the deletion of those that
 * must go. The next round follows as soon as these deletions are durable, because only then are the remaining bytes
 * known. Rounds are small, so that a first start with a bound on a large store does not block the loop; they follow
 * each other without a pause, so that many small jobs do not outrun the bound.
 *
 * What counts is what the store's writer counts for each job (store.h): neither deletion events nor free pages. The
 * file does not shrink: SQLite reuses its free pages.
 */
#include "server/jobs/retention.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/log.h"

#define ROUND_MOST 64 /* jobs */
#define DAY_MILLISECONDS INT64_C(86400000)
#define JUMP_MILLISECONDS INT64_C(3600000)

struct round {
    char ids[ROUND_MOST][STORE_ID_BYTES];
    int count;
    int64_t before; /* jobs that ended before this are deleted, Unix ms */
    int64_t excess; /* bytes to be freed */
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

static void round_run(struct retention *retention);

static void deleted(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct retention *retention = user;
    retention->deleting--;
    if (result == JOBS_DONE) {
        log_info("job deleted by retention", LOG_T("job", id));
    } else if (result != JOBS_UNKNOWN) {
        log_warning("a job could not be deleted by retention", LOG_T("job", id), LOG_T("reason", detail));
        retention->more = false; /* the next tick tries again */
    }
    if (retention->deleting == 0 && retention->more) {
        round_run(retention);
    }
}

/*
 * Whether ages can be trusted now. The time since boot includes sleep, so waking up is not a jump.
 */
static bool ages_hold(struct retention *retention, uint64_t now) {
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t offset = clock_unix_milliseconds() - ((int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000);
    if (retention->offset != 0 && llabs(offset - retention->offset) > JUMP_MILLISECONDS) {
        log_warning("the clock has jumped; for a day no job is deleted because of its age",
                    LOG_I("seconds", (offset - retention->offset) / 1000));
        retention->ages_from = now + (uint64_t)DAY_MILLISECONDS;
    }
    retention->offset = offset;
    return now >= retention->ages_from;
}

static void round_run(struct retention *retention) {
    struct round round = {.before = retention->before};
    if (retention->bytes > 0) {
        round.excess = store_bytes_used(retention->reader) - retention->bytes;
    }
    if (round.excess > 0 || retention->before != INT64_MIN) {
        if (store_jobs_oldest(retention->reader, ROUND_MOST, round_add, &round) < 0) {
            log_warning("retention cannot read the jobs");
        }
    }
    retention->more = round.count == ROUND_MOST;
    retention->deleting = round.count + 1; /* counted once for this function: the last answer may come at once */
    for (int i = 0; i < round.count; i++) {
        jobs_act(retention->jobs, round.ids[i], JOBS_DELETE, deleted, retention);
    }
    retention->deleting--;
}

void retention_tick(struct retention *retention, struct jobs *jobs, struct store_reader *reader, uint64_t now) {
    if ((retention->days == 0 && retention->bytes == 0) || retention->deleting > 0) {
        return; /* on a full disk too: a deletion frees space */
    }
    bool ages = ages_hold(retention, now);
    retention->jobs = jobs;
    retention->reader = reader;
    retention->before = retention->days > 0 && ages ? clock_unix_milliseconds() - retention->days * DAY_MILLISECONDS
                                                    : INT64_MIN;
    round_run(retention);
}
