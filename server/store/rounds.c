/*
 * The store's writer, second half: the queue of units, the writer's thread that takes them in rounds, and what becomes
 * of them when the disk is full. Rows are in writer.c. See store.h.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/base/thread.h"
#include "server/store/internal.h"

#define COPY_MILLISECONDS 500 /* on a full disk, for readers to leave the log */
#define UNITS_A_COMMIT 512    /* bounds how long the first of many waits for the last */

/* ---- the queue ---- */

static void unit_deliver(struct loop_message *message) {
    struct store_unit *unit = (struct store_unit *)((char *)message - offsetof(struct store_unit, message));
    if (unit->done != NULL) {
        unit->done(unit);
    }
    store_unit_free(unit);
}

void store_submit(struct store *store, struct store_unit *unit) {
    unit->message.deliver = unit_deliver;
    unit->next = NULL;
    pthread_mutex_lock(&store->mutex);
    unit->epoch = store->handled;
    *store->last = unit;
    store->last = &unit->next;
    store->depth++;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

void store_failure_handled(struct store *store, const struct store_unit *unit) {
    pthread_mutex_lock(&store->mutex);
    store->handled = unit->epoch > store->handled ? unit->epoch : store->handled;
    pthread_mutex_unlock(&store->mutex);
}

void store_flush(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    while (store->depth > 0) {
        pthread_cond_wait(&store->idle, &store->mutex);
    }
    pthread_mutex_unlock(&store->mutex);
}

bool store_is_full(struct store *store, char reason[STORE_ERROR_BYTES]) {
    pthread_mutex_lock(&store->mutex);
    bool full = store->full;
    if (full && reason != NULL) {
        snprintf(reason, STORE_ERROR_BYTES, DISK_FULL);
    }
    pthread_mutex_unlock(&store->mutex);
    return full;
}

bool store_stop_noted(struct store *store, const char *id) {
    return stops_has(&store->stops, id);
}

void store_stops_each(struct store *store, void (*each)(void *user, const char *id), void *user) {
    for (int i = 0; i < STOPS_MOST; i++) {
        char id[STORE_ID_BYTES];
        pthread_mutex_lock(&store->stops.mutex);
        memcpy(id, store->stops.ids[i], sizeof id);
        pthread_mutex_unlock(&store->stops.mutex);
        if (id[0] != '\0') {
            each(user, id);
        }
    }
}

void store_stop_forget(struct store *store, const char *id) {
    stops_remove(&store->stops, id);
}

size_t store_depth(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    size_t depth = store->depth;
    pthread_mutex_unlock(&store->mutex);
    return depth;
}

struct store_counts store_counts(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    struct store_counts counts = store->counts;
    pthread_mutex_unlock(&store->mutex);
    return counts;
}

/* ---- the writer ---- */

/* Whether the disk is full, or was and has not had the reserve's space again. */
static bool disk_is_tight(const struct store *store) {
    return !store->reserve.held;
}

/* Takes what waits, at most UNITS_A_COMMIT; NULL when it is time to exit, or to continue purging. */
static struct store_unit *units_take(struct store *store, bool *leave) {
    pthread_mutex_lock(&store->mutex);
    bool waits = store->first == NULL && !store->leave && (!store->purging || store->purge_failed);
    bool checks = store->full || (store->purge_failed && disk_is_tight(store)); /* for space or the log, each second */
    if (waits && checks) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&store->wake, &store->mutex, &until);
    }
    while (waits && !checks && store->first == NULL && !store->leave && !store->purging) {
        pthread_cond_wait(&store->wake, &store->mutex);
    }
    struct store_unit *taken = store->first, **end = &store->first;
    for (int i = 0; i < UNITS_A_COMMIT && *end != NULL; i++) {
        end = &(*end)->next;
    }
    store->first = *end;
    *end = NULL;
    if (store->first == NULL) {
        store->last = &store->first;
    }
    *leave = taken == NULL && store->leave;
    pthread_mutex_unlock(&store->mutex);
    return taken;
}

/* Notes cancellations that were not stored, and strikes out those that were. */
static void unit_note(struct store *store, const struct store_unit *unit) {
    for (const struct store_item *item = unit->first; item != NULL; item = item->next) {
        bool cancels = item->kind == STORE_JOB_SET &&
                       (item->job.status == JOB_CANCELLING || item->job.status == JOB_CANCELLED);
        if (unit->result == STORE_STALLED && cancels) {
            (void)stops_add(&store->stops, item->job.id); /* without it, only this daemon remembers */
        } else if (unit->result == STORE_WRITTEN && (cancels || item->kind == STORE_JOB_DELETE)) {
            stops_remove(&store->stops, item->job.id);
        }
    }
}

static void units_deliver(struct store *store, struct store_unit *units) {
    for (struct store_unit *unit = units, *next; unit != NULL; unit = next) {
        next = unit->next;
        unit_note(store, unit);
        loop_post(store->loop, &unit->message);
        pthread_mutex_lock(&store->mutex);
        if (--store->depth == 0) {
            pthread_cond_signal(&store->idle);
        }
        pthread_mutex_unlock(&store->mutex);
    }
}

/* Splits off units that were made before the loop learned of the last failure: they fail untried. */
static struct store_unit *units_refuse(struct store *store, struct store_unit *units) {
    struct store_unit *tried = NULL, **tail = &tried;
    for (struct store_unit *unit = units, *next; unit != NULL; unit = next) {
        next = unit->next;
        unit->next = NULL;
        if (unit->epoch < store->failed) {
            unit->epoch = store->failed;
            unit->result = STORE_STALLED;
            unit->full = store->disk_is_full;
            memcpy(unit->error, store->reason, sizeof unit->error);
            units_deliver(store, unit);
        } else {
            *tail = unit;
            tail = &unit->next;
        }
    }
    return tried;
}

static void units_fail_all(struct store *store, struct store_unit *units) {
    store->failed++;
    for (struct store_unit *unit = units; unit != NULL; unit = unit->next) {
        unit->epoch = store->failed;
        unit->result = STORE_STALLED;
        unit->full = store->disk_is_full;
        memcpy(unit->error, store->reason, sizeof unit->error);
    }
}

/* ---- the full disk ---- */

static void full_set(struct store *store, bool full) {
    pthread_mutex_lock(&store->mutex);
    store->full = full;
    pthread_mutex_unlock(&store->mutex);
}

/* One number that a pragma gives; 0 on failure. */
static int64_t pragma_number(struct store *store, const char *text) {
    sqlite3_stmt *s = NULL;
    bool found = sqlite3_prepare_v2(store->database, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    int64_t number = found ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return number;
}

/*
 * Whether there is free space for twice the reserve, counting the disk and free pages of the database together, and for
 * half of it on the disk, where the log is; half as much is enough to stay not full. Recreates the reserve if the disk
 * alone has that much.
 */
static bool room_is_there(struct store *store) {
    struct reserve *reserve = &store->reserve;
    int64_t disk = reserve_disk_free(reserve);
    if (reserve->held || (disk >= 2 * reserve->bytes && reserve_take(reserve))) {
        return true;
    }
    int64_t pages = pragma_number(store, "PRAGMA freelist_count") * pragma_number(store, "PRAGMA page_size");
    int64_t wanted = store->full ? reserve->bytes : reserve->bytes / 2;
    return disk >= wanted / 2 && disk / 2 + pages / 2 >= wanted;
}

void room_look(struct store *store) {
    if (!store->reserve.held) {
        bool full = !room_is_there(store);
        if (full) {
            snprintf(store->reason, sizeof store->reason, DISK_FULL);
        }
        full_set(store, full);
        if (!full) {
            stops_prepare(&store->stops);
        }
    }
}

/* Copies the log into the database and gives its space back to the disk; false if a reader uses it for longer. */
static bool log_copy(struct store *store) {
    sqlite3_busy_timeout(store->database, COPY_MILLISECONDS);
    bool copied = sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK;
    sqlite3_busy_timeout(store->database, BUSY_MILLISECONDS);
    return copied;
}

/* The disk is full: releases its reserve. */
static void full_begin(struct store *store) {
    reserve_release(&store->reserve);
    log_copy(store);
    full_set(store, true);
}

static bool job_is_among(const struct store_unit *units, const char *job) {
    while (units != NULL && strcmp(unit_job(units), job) != 0) {
        units = units->next;
    }
    return units != NULL;
}

/* From the units, those that free space and do not follow a unit of their job that does not; the others go to *rest. */
static struct store_unit *units_part(struct store_unit *units, struct store_unit **rest) {
    struct store_unit *freeing = NULL, **freeing_end = &freeing, **rest_end = rest;
    *rest = NULL;
    for (struct store_unit *unit = units, *next; unit != NULL; unit = next) {
        next = unit->next;
        unit->next = NULL;
        struct store_unit ***end = unit->frees && !job_is_among(*rest, unit_job(unit)) ? &freeing_end : &rest_end;
        **end = unit;
        *end = &unit->next;
    }
    return freeing;
}

/*
 * Units that do not free space, on a disk that is known to be full. A submission is refused by itself, because nothing
 * follows it before it is answered; anything else is a failure that its successors share.
 */
static void units_refuse_full(struct store *store, struct store_unit *units) {
    bool alone = true;
    for (struct store_unit *unit = units; unit != NULL; unit = unit->next) {
        unit->refused = unit->first != NULL &&
                        (unit->first->kind == STORE_JOB_ADD || unit->first->kind == STORE_EXPERIMENT_ADD ||
                         unit->first->kind == STORE_TRIAL_ADD || unit->first->kind == STORE_VIEW_PUT);
        alone = alone && unit->refused;
    }
    snprintf(store->reason, sizeof store->reason, DISK_FULL);
    store->disk_is_full = true;
    store->failed -= alone;
    units_fail_all(store, units);
    units_deliver(store, units);
}

/*
 * Removes one portion, in its own commit, so that no deletion delays other writes. If nothing can be written it is left
 * for a later commit.
 */
static void purge(struct store *store) {
    int found = purge_commit(store);
    store->purging = found == 1;
    store->purge_failed = found < 0;
    pthread_mutex_lock(&store->mutex);
    store->counts.portions += found >= 0;
    store->counts.purging = found != 0;
    pthread_mutex_unlock(&store->mutex);
}

/* ---- the writer's round ---- */

static void commit_count(struct store *store, const struct store_unit *units, int result, double took, double synced) {
    pthread_mutex_lock(&store->mutex);
    for (const struct store_unit *unit = units; unit != NULL; unit = unit->next) {
        store->counts.units++;
    }
    store->counts.commits++;
    store->counts.failures += result != SQLITE_OK;
    /* what could not be purged before may succeed now */
    store->purging = store->purging || (store->counts.purging && result == SQLITE_OK);
    store->counts.purging = store->counts.purging || store->purging;
    histogram_add(&store->counts.commit, took);
    if (!isnan(synced)) {
        histogram_add(&store->counts.sync, synced);
    }
    pthread_mutex_unlock(&store->mutex);
}

/* Commits units and delivers them. Returns those that may be tried again from the reserve. */
static struct store_unit *units_try(struct store *store, struct store_unit *units, bool again) {
    double began = clock_seconds(), synced = NAN;
    struct store_unit *freeing = NULL;
    int result = units_commit(store, units, &synced);
    commit_count(store, units, result, clock_seconds() - began, synced);
    if (result != SQLITE_OK) {
        if (store->disk_is_full && again) {
            freeing = units_part(units, &units);
            full_begin(store);
        }
        units_fail_all(store, units);
    }
    units_deliver(store, units);
    return freeing;
}

static void units_write(struct store *store, struct store_unit *units) {
    room_look(store);
    struct store_unit *rest = NULL;
    if (store->full) { /* no other thread changes it */
        units = units_part(units, &rest);
    }
    if (rest != NULL) {
        units_refuse_full(store, rest);
    }
    if (units != NULL) {
        units = units_try(store, units, true);
    }
    if (units != NULL) {
        units_try(store, units, false);
    }
}

static void writer_main(void *argument) {
    struct store *store = argument;
    bool leave = false;
    for (struct store_unit *units = units_take(store, &leave); !leave; units = units_take(store, &leave)) {
        units = units_refuse(store, units);
        if (units != NULL) {
            units_write(store, units);
        }
        bool purging = store->purging;
        if (purging) {
            /* on a tight disk only with an empty log: while readers keep it, portions would use up what is free */
            if (!disk_is_tight(store) || log_copy(store)) {
                purge(store);
            } else {
                store->purge_failed = true;
            }
        }
        if (store->full || (purging && disk_is_tight(store))) {
            log_copy(store);
            room_look(store);
            store->purging = store->counts.purging; /* once more: it needs little space, and frees some */
        }
    }
}

bool writer_start(struct store *store) {
    store->writing = thread_start(&store->writer, writer_main, store);
    return store->writing;
}

void writer_stop(struct store *store) {
    if (store->writing) {
        pthread_mutex_lock(&store->mutex);
        store->leave = true;
        pthread_cond_signal(&store->wake);
        pthread_mutex_unlock(&store->mutex);
        pthread_join(store->writer, NULL);
    }
}
