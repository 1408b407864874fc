/*
 * Seats at a device: see seats.h.
 *
 * A table is a cohort and who sits at it; a station is a device and its tables. There is no thread of the device's own:
 * a job that asks waits until it is its turn, then leads a round for all jobs at its table that ask for the same, and
 * wakes them. A round of updates ends when another job waits, or one of its jobs is to stop, so that jobs come and go
 * between two updates. Whoever ends such a round before it has all that it asked for comes back at once: the table
 * waits for it, and so its jobs stay together. Other work (taking a seat, loading, reading) is done by the job itself,
 * alone at the station, before the next round.
 *
 * One mutex guards all that is shared; it is held only to look and to wait. Whoever has made a station busy owns its
 * tables and cohorts, and only then is a table made, grown or removed.
 */
#include "core/backend/opencl/seats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum wanted { WANTED_NOTHING, WANTED_UPDATES, WANTED_BATCH, WANTED_GRADIENT, WANTED_GIVEN };

struct table {
    struct table *next;
    struct station *station;
    char *key; /* program_key */
    struct cohort *cohort;
    int members, expected; /* seats that are taken; of them, those that come back at once */
    int room;              /* of the arrays, by seat; at least the cohort's */
    struct seat **seats;   /* NULL: free */
    struct backend_course *courses;
    struct cohort_batch *batches;
    int64_t launches, transfers; /* of the cohort, as far as they are counted */
    uint64_t memory_bytes;       /* of the cohort, for those who only look */
};

struct seat {
    struct table *table;
    int number;
    pthread_cond_t turn;
    struct seat *next; /* of those that wait */
    enum wanted wanted;
    bool rides;    /* the round that runs is for it */
    bool expected; /* it comes back at once */
    /* what it asks for, and the answer */
    const struct cohort_batch *batch;
    struct backend_course *course;
    int64_t most;
    struct work *work;
    enum result result;
    double (*clock)(void *user);
    void *clock_user;
};

struct station {
    bool busy;
    int alone;           /* threads that wait to be alone there */
    pthread_cond_t free; /* for them */
    struct table *tables;
    struct seat *waiting, **waiting_last; /* in the order in which they asked */
    atomic_int waits;                     /* how many threads wait, either way */
    struct seats_load load;               /* what is counted */
    struct error condemned;               /* why nobody is seated there any more; "": somebody may be */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct station stations[CL_DEVICES_MOST];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void stations_init(void) {
    for (int i = 0; i < CL_DEVICES_MOST; i++) {
        pthread_cond_init(&stations[i].free, NULL);
        stations[i].waiting_last = &stations[i].waiting;
    }
}

/* ---- whose turn it is; with the mutex ---- */

/* The first that waits at a table for which nobody is to come back. */
static struct seat *leader_next(const struct station *station) {
    struct seat *seat = station->waiting;
    while (seat && seat->table->expected > 0) {
        seat = seat->next;
    }
    return seat;
}

/* Nobody is at the station: who may be next is woken. */
static void station_wake(struct station *station) {
    struct seat *leader = station->alone > 0 ? NULL : leader_next(station);
    if (station->alone > 0) {
        pthread_cond_signal(&station->free);
    } else if (leader) {
        pthread_cond_signal(&leader->turn);
    }
}

static void station_enter(struct station *station) {
    pthread_mutex_lock(&mutex);
    station->alone++;
    station->waits++;
    while (station->busy) {
        pthread_cond_wait(&station->free, &mutex);
    }
    station->alone--;
    station->waits--;
    station->busy = true;
    pthread_mutex_unlock(&mutex);
}

static void station_leave(struct station *station) {
    pthread_mutex_lock(&mutex);
    station->busy = false;
    station_wake(station);
    pthread_mutex_unlock(&mutex);
}

/* The seat asks for something, or leaves: nobody need wait for it any more. With the mutex. */
static void arrived(struct seat *seat) {
    seat->table->expected -= seat->expected;
    seat->expected = false;
}

/* The seat's thread, alone at its station. */
static struct cohort *seat_enter(struct seat *seat) {
    pthread_mutex_lock(&mutex);
    arrived(seat);
    pthread_mutex_unlock(&mutex);
    station_enter(seat->table->station);
    return seat->table->cohort;
}

/* ---- a round; alone at the station ---- */

static bool is_to_stop(const struct seat *seat) {
    return seat->work && seat->work->stop && seat->work->stop(seat->work->user);
}

/* Whether so many of the round's jobs are to stop: all of them, or any. */
static bool are_to_stop(const struct table *table, bool all) {
    for (int i = 0; i < table->room; i++) {
        const struct seat *seat = table->seats[i];
        if (seat && seat->rides && is_to_stop(seat) != all) {
            return !all;
        }
    }
    return all;
}

static bool round_stop(void *user) {
    return are_to_stop(user, true);
}

static bool round_enough(void *user) {
    const struct table *table = user;
    return atomic_load(&table->station->waits) > 0 || are_to_stop(table, false);
}

/* The jobs of the round, as spans; what they ask for, by seat. The updates that all of them want. */
static int64_t round_fill(struct table *table) {
    struct cohort *cohort = table->cohort;
    int64_t most = INT64_MAX;
    struct span *span = NULL;
    cohort->span_count = 0;
    for (int i = 0; i < table->room; i++) {
        const struct seat *seat = table->seats[i];
        if (!seat || !seat->rides) {
            continue;
        }
        if (!span || span->first + span->count != i ||
            cohort->averages_given[i] != cohort->averages_given[span->first]) {
            span = &cohort->spans[cohort->span_count++];
            *span = (struct span){i, 0};
        }
        span->count++;
        if (seat->wanted == WANTED_UPDATES) {
            table->courses[i] = *seat->course;
            most = seat->most < most ? seat->most : most;
        } else {
            table->batches[i] = *seat->batch;
        }
    }
    return most;
}

/* What a seat has of a round of updates; how many they are. */
static int64_t updates_take(const struct table *table, struct seat *seat) {
    int64_t made = table->courses[seat->number].iteration - seat->course->iteration;
    *seat->course = table->courses[seat->number];
    if (table->cohort->host[seat->number].failed != OPENCL_NEVER) {
        seat->result = RESULT_DIVERGED;
    }
    return made;
}

/* How many updates the round has made, of all its jobs. */
static int64_t round_run(struct table *table, enum wanted wanted) {
    struct cohort *cohort = table->cohort;
    struct work work = {.stop = round_stop, .user = table};
    int64_t most = round_fill(table), made = 0;
    cohort->enough = round_enough;
    cohort->enough_user = table;
    enum result result = wanted == WANTED_UPDATES ? cohort_iterate(cohort, most, table->courses, &work)
                                                  : cohort_batches(cohort, table->batches, &work);
    result = cohort->failed ? RESULT_DEVICE_LOST : result == RESULT_DIVERGED ? RESULT_DONE : result;
    for (int i = 0; i < table->room; i++) {
        struct seat *seat = table->seats[i];
        if (!seat || !seat->rides) {
            continue;
        }
        seat->result = result;
        if (seat->work) {
            seat->work->done += work.done;
        }
        if (wanted == WANTED_UPDATES && !cohort->failed) {
            int64_t here = updates_take(table, seat);
            made += here;
            seat->expected = seat->result == RESULT_DONE && here < seat->most;
        }
    }
    return made;
}

/* ---- leading a round ---- */

/* Takes from the queue who rides along. With the mutex. */
static void riders_take(struct station *station, const struct seat *leader) {
    struct seat **at = &station->waiting;
    while (*at) {
        struct seat *seat = *at;
        bool alike = seat->table == leader->table && seat->wanted == leader->wanted;
        if (seat == leader || (alike && leader->wanted != WANTED_GIVEN)) {
            seat->rides = true;
            *at = seat->next;
            station->waits--;
        } else {
            at = &seat->next;
        }
    }
    station->waiting_last = at;
}

/* What the cohort has done since it was last counted. With the mutex, or alone at the station. */
static void table_count(struct table *table) {
    struct seats_load *load = &table->station->load;
    load->launches += table->cohort->launches - table->launches;
    load->transfers += table->cohort->transfers - table->transfers;
    table->launches = table->cohort->launches;
    table->transfers = table->cohort->transfers;
}

static double clock_of(const struct seat *seat) {
    return seat->clock ? seat->clock(seat->clock_user) : 0;
}

/* With the mutex, which is not held meanwhile. */
static void round_lead(struct seat *leader) {
    struct table *table = leader->table;
    struct station *station = table->station;
    station->busy = true;
    riders_take(station, leader);
    pthread_mutex_unlock(&mutex);
    double since = clock_of(leader);
    int64_t made = round_run(table, leader->wanted);
    double seconds = clock_of(leader) - since;
    pthread_mutex_lock(&mutex);
    station->load.seconds += seconds;
    station->load.rounds++;
    station->load.updates += made;
    table_count(table);
    for (int i = 0; i < table->room; i++) {
        struct seat *seat = table->seats[i];
        if (seat && seat->rides) {
            seat->rides = false;
            seat->wanted = WANTED_NOTHING;
            table->expected += seat->expected;
            pthread_cond_signal(&seat->turn);
        }
    }
    station->busy = false;
    station_wake(station);
}

static enum result seat_ask(struct seat *seat, enum wanted wanted) {
    struct station *station = seat->table->station;
    pthread_mutex_lock(&mutex);
    arrived(seat);
    seat->wanted = wanted;
    seat->next = NULL;
    *station->waiting_last = seat;
    station->waiting_last = &seat->next;
    station->waits++;
    if (!station->busy) {
        station_wake(station); /* perhaps it was the one that others waited for */
    }
    while (seat->wanted != WANTED_NOTHING) {
        if (!station->busy && station->alone == 0 && leader_next(station) == seat) {
            round_lead(seat);
        } else {
            pthread_cond_wait(&seat->turn, &mutex);
        }
    }
    pthread_mutex_unlock(&mutex);
    return seat->result;
}

enum result seat_batch(struct seat *seat, const struct cohort_batch *batch, struct work *work) {
    if (!cohort_batch_fits(seat->table->cohort, batch)) {
        return RESULT_INVALID;
    }
    seat->batch = batch;
    seat->work = work;
    return seat_ask(seat, batch->source ? WANTED_GIVEN : batch->gradient ? WANTED_GRADIENT : WANTED_BATCH);
}

enum result seat_iterate(struct seat *seat, int64_t most, struct backend_course *course, struct work *work) {
    seat->most = most;
    seat->course = course;
    seat->work = work;
    return seat_ask(seat, WANTED_UPDATES);
}

/* ---- what a job does alone ---- */

void seat_load(struct seat *seat, const float *feedback, double mu, const double *averages) {
    struct cohort *cohort = seat_enter(seat);
    cohort_load(cohort, seat->number, feedback, mu, averages);
    cohort->now = (struct span){seat->number, 1};
    cohort_weights_changed(cohort);
    station_leave(seat->table->station);
}

void seat_read(struct seat *seat) {
    cohort_read(seat_enter(seat), seat->number);
    station_leave(seat->table->station);
}

void seat_condemn(struct seat *seat, const char *why) {
    struct station *station = seat->table->station;
    seat_enter(seat);
    snprintf(station->condemned.text, sizeof station->condemned.text, "%s", why);
    for (struct table *table = station->tables; table; table = table->next) {
        if (!table->cohort->failed) {
            table->cohort->failed = true;
            snprintf(table->cohort->error, sizeof table->cohort->error, "%s", why);
        }
    }
    station_leave(seat->table->station);
}

struct cohort *seat_cohort(const struct seat *seat) {
    return seat->table->cohort;
}

/* ---- taking a seat, and leaving; alone at the station ---- */

static uint64_t memory_taken(const struct station *station) {
    uint64_t bytes = 0;
    for (const struct table *table = station->tables; table; table = table->next) {
        bytes += table->cohort->memory_bytes;
    }
    return bytes;
}

static bool table_make_room(struct table *table, int room) {
    size_t count = (size_t)room;
    bool made = true;
    if (room <= table->room) { /* it was made before, and then the device had no memory */
        return true;
    }
    table->seats = enlarged(table->seats, count * sizeof *table->seats, &made);
    table->courses = enlarged(table->courses, count * sizeof *table->courses, &made);
    table->batches = enlarged(table->batches, count * sizeof *table->batches, &made);
    if (made) {
        memset(&table->seats[table->room], 0, (count - (size_t)table->room) * sizeof *table->seats);
        table->room = room;
    }
    return made;
}

static void table_destroy(struct table *table) {
    if (table) {
        cohort_destroy(table->cohort);
        free(table->key);
        free(table->seats);
        free(table->courses);
        free(table->batches);
        free(table);
    }
}

static void table_unlink(struct table *table) {
    pthread_mutex_lock(&mutex);
    struct table **at = &table->station->tables;
    while (*at != table) {
        at = &(*at)->next;
    }
    *at = table->next;
    table_count(table);
    pthread_mutex_unlock(&mutex);
    table_destroy(table);
}

/* A table for a cohort that was prepared with one seat, and which it takes; NULL, with `error`. */
static struct table *table_make(struct station *station, struct cohort *cohort, char *key, enum result *result,
                                struct error *error) {
    struct table *table = calloc(1, sizeof *table);
    *result = RESULT_NO_MEMORY;
    snprintf(error->text, sizeof error->text, "out of memory");
    if (!table) {
        cohort_destroy(cohort);
        free(key);
        return NULL;
    }
    *table = (struct table){.station = station, .cohort = cohort, .key = key};
    if (memory_taken(station) + cohort->memory_bytes > cohort->device->memory) {
        *result = RESULT_INVALID;
        snprintf(error->text, sizeof error->text,
                 "the device has no memory for the job, %zu bytes, beside those that run there", cohort->memory_bytes);
    } else if (table_make_room(table, 1) && cohort_open(cohort, result, error)) {
        pthread_mutex_lock(&mutex);
        table->next = station->tables;
        station->tables = table;
        pthread_mutex_unlock(&mutex);
        return table;
    }
    table_destroy(table);
    return NULL;
}

/* The table at which such jobs sit; the prepared cohort and the key are taken. NULL, with *result and `error`. */
static struct table *table_find(struct station *station, struct cohort *cohort, char *key, enum result *result,
                                struct error *error) {
    if (*station->condemned.text != '\0') {
        *result = RESULT_DEVICE_LOST;
        *error = station->condemned;
        cohort_destroy(cohort);
        free(key);
        return NULL;
    }
    for (struct table *table = station->tables; table; table = table->next) {
        if (strcmp(table->key, key) == 0 && !table->cohort->failed) {
            cohort_destroy(cohort);
            free(key);
            return table;
        }
    }
    return table_make(station, cohort, key, result, error);
}

/* A seat that is free, perhaps after the cohort has grown to twice its size; -1, with *result and `error`. */
static int number_find(struct table *table, const struct backend_problem *problem, enum result *result,
                       struct error *error) {
    struct cohort *cohort = table->cohort;
    for (int i = 0; i < cohort->jobs; i++) {
        if (!table->seats[i]) {
            return i;
        }
    }
    int room = cohort->jobs, most = cohort_most(cohort, memory_taken(table->station) - cohort->memory_bytes),
        wanted = 2 * room < most ? 2 * room : most;
    *result = RESULT_INVALID;
    snprintf(error->text, sizeof error->text, "the device has no memory for another of these jobs beside %d", room);
    if (wanted <= room || !table_make_room(table, wanted) || !cohort_grow(cohort, wanted, problem)) {
        if (cohort->failed) {
            *result = RESULT_DEVICE_LOST;
            snprintf(error->text, sizeof error->text, "%s", cohort->error);
        }
        return -1;
    }
    return room;
}

/* Seats the job at a table. False, with *result and `error`. */
static bool seat_place(struct seat *seat, const struct backend_problem *problem, enum result *result,
                       struct error *error) {
    struct table *table = seat->table;
    seat->number = number_find(table, problem, result, error);
    if (seat->number >= 0 && !cohort_place(table->cohort, seat->number, problem, error)) {
        *result = table->cohort->failed ? RESULT_DEVICE_LOST : RESULT_NO_MEMORY;
        seat->number = -1;
    }
    if (seat->number < 0) {
        if (table->members == 0) {
            table_unlink(table);
        }
        return false;
    }
    pthread_mutex_lock(&mutex);
    table->seats[seat->number] = seat;
    table->members++;
    table->memory_bytes = table->cohort->memory_bytes;
    pthread_mutex_unlock(&mutex);
    return true;
}

struct seat *seat_take(const struct backend_problem *problem, enum result *result, struct error *error) {
    struct cohort *cohort = cohort_prepare(problem, 1, result, error);
    struct seat *seat = cohort ? calloc(1, sizeof *seat) : NULL;
    char *key = seat ? program_key(cohort) : NULL;
    if (!key) {
        if (cohort) {
            *result = RESULT_NO_MEMORY;
            snprintf(error->text, sizeof error->text, "out of memory");
        }
        cohort_destroy(cohort);
        free(seat);
        return NULL;
    }
    pthread_once(&once, stations_init);
    pthread_cond_init(&seat->turn, NULL);
    seat->clock = problem->options->clock;
    seat->clock_user = problem->options->clock_user;
    struct station *station = &stations[problem->options->device];
    station_enter(station);
    seat->table = table_find(station, cohort, key, result, error);
    bool placed = seat->table && seat_place(seat, problem, result, error);
    station_leave(station);
    if (!placed) {
        pthread_cond_destroy(&seat->turn);
        free(seat);
        return NULL;
    }
    *error = (struct error){0};
    *result = RESULT_DONE;
    return seat;
}

void seat_leave(struct seat *seat) {
    struct table *table = seat->table;
    struct station *station = table->station;
    seat_enter(seat);
    pthread_mutex_lock(&mutex);
    table->seats[seat->number] = NULL;
    table->members--;
    pthread_mutex_unlock(&mutex);
    if (table->members == 0) {
        table_unlink(table);
    }
    station_leave(station);
    pthread_cond_destroy(&seat->turn);
    free(seat);
}

struct seats_load seats_load(int device) {
    pthread_mutex_lock(&mutex);
    const struct station *station = &stations[device];
    struct seats_load load = station->load;
    load.waiting = atomic_load(&station->waits);
    for (const struct table *table = station->tables; table; table = table->next) {
        load.jobs += table->members;
        load.cohorts++;
        load.memory_bytes += table->memory_bytes;
    }
    pthread_mutex_unlock(&mutex);
    return load;
}
