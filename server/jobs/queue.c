/*
 * The order of queued jobs: see queue.h. A sorted array: finding a position takes a bisection, a change moves the
 * entries after it once (32 bytes per job: 20,000 queued jobs are 640 kB, some 40 microseconds), and a turn looks once
 * at each job of the greatest priority. Rejected: a balanced tree with counts, which is faster from about a million
 * queued jobs on and four times as long.
 */
#include "server/jobs/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/hash.h"

#define TURNS 1024 /* owners, and experiments, that are distinguished; those that share a hash share their turns */

struct queued_job {
    int64_t number;
    int priority;
    uint64_t owner, experiment; /* hashed; the experiment with its owner */
};

struct queue {
    pthread_mutex_t mutex;
    struct queued_job *waiting;
    size_t count, capacity;
    uint64_t served;                            /* turns given; the loop's, as the next two */
    uint64_t owners[TURNS], experiments[TURNS]; /* when each had its last turn; 0: never */
};

static struct queued_job queued_job_of(const struct store_job *job) {
    uint64_t owner = name_hash(HASH_SEED, job->owner);
    return (struct queued_job){.number = job->number,
                               .priority = job->priority,
                               .owner = owner,
                               .experiment = name_hash(owner, job->experiment)};
}

struct queue *queue_create(void) {
    struct queue *queue = calloc(1, sizeof *queue);
    if (queue != NULL) {
        pthread_mutex_init(&queue->mutex, NULL);
    }
    return queue;
}

void queue_destroy(struct queue *queue) {
    if (queue != NULL) {
        pthread_mutex_destroy(&queue->mutex);
        free(queue->waiting);
        free(queue);
    }
}

/* Call with the mutex held: how many positions are before that of this job. */
static size_t position_find(const struct queue *queue, int priority, int64_t number) {
    size_t low = 0, high = queue->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct queued_job *queued = &queue->waiting[middle];
        bool before = queued->priority != priority ? queued->priority > priority : queued->number < number;
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return low;
}

static bool position_holds(const struct queue *queue, size_t at, int priority, int64_t number) {
    return at < queue->count && queue->waiting[at].priority == priority && queue->waiting[at].number == number;
}

static bool room_make(struct queue *queue) {
    if (queue->count < queue->capacity) {
        return true;
    }
    size_t capacity = queue->capacity == 0 ? 64 : 2 * queue->capacity;
    struct queued_job *waiting = realloc(queue->waiting, capacity * sizeof *waiting);
    if (waiting != NULL) {
        queue->waiting = waiting;
        queue->capacity = capacity;
    }
    return waiting != NULL;
}

bool queue_add(struct queue *queue, const struct store_job *job) {
    pthread_mutex_lock(&queue->mutex);
    size_t at = position_find(queue, job->priority, job->number);
    bool there = position_holds(queue, at, job->priority, job->number), added = there || room_make(queue);
    if (added && !there) {
        memmove(queue->waiting + at + 1, queue->waiting + at, (queue->count - at) * sizeof *queue->waiting);
        queue->waiting[at] = queued_job_of(job);
        queue->count++;
    }
    pthread_mutex_unlock(&queue->mutex);
    return added;
}

void queue_remove(struct queue *queue, int priority, int64_t number) {
    pthread_mutex_lock(&queue->mutex);
    size_t at = position_find(queue, priority, number);
    if (position_holds(queue, at, priority, number)) {
        queue->count--;
        memmove(queue->waiting + at, queue->waiting + at + 1, (queue->count - at) * sizeof *queue->waiting);
    }
    pthread_mutex_unlock(&queue->mutex);
}

int64_t queue_position(struct queue *queue, int priority, int64_t number) {
    pthread_mutex_lock(&queue->mutex);
    int64_t position = (int64_t)position_find(queue, priority, number);
    pthread_mutex_unlock(&queue->mutex);
    return position;
}

int64_t queue_count(struct queue *queue, const char *owner) {
    uint64_t hash = name_hash(HASH_SEED, owner);
    int64_t count = 0;
    pthread_mutex_lock(&queue->mutex);
    for (size_t i = 0; i < queue->count; i++) {
        count += queue->waiting[i].owner == hash;
    }
    pthread_mutex_unlock(&queue->mutex);
    return count;
}

/* Whether `a` has waited longer for its turn; ties go by number, which is their order. */
static bool turn_is_before(const struct queue *queue, const struct queued_job *a, const struct queued_job *b) {
    uint64_t owner_a = queue->owners[a->owner % TURNS], owner_b = queue->owners[b->owner % TURNS];
    uint64_t a_turn = queue->experiments[a->experiment % TURNS], b_turn = queue->experiments[b->experiment % TURNS];
    return owner_a != owner_b ? owner_a < owner_b : a->owner == b->owner && a_turn < b_turn;
}

/* Only the loop changes positions, so it may read them without the mutex. */
int64_t queue_next(struct queue *queue, bool (*skip)(void *user, int64_t number), void *user) {
    const struct queued_job *next = NULL;
    for (size_t i = 0; i < queue->count; i++) {
        const struct queued_job *queued = &queue->waiting[i];
        if (next != NULL && queued->priority < next->priority) {
            break;
        }
        if ((next == NULL || turn_is_before(queue, queued, next)) && !skip(user, queued->number)) {
            next = queued;
        }
    }
    return next == NULL ? 0 : next->number;
}

void queue_served(struct queue *queue, const struct store_job *job) {
    const struct queued_job queued = queued_job_of(job);
    queue->served++;
    queue->owners[queued.owner % TURNS] = queue->served;
    queue->experiments[queued.experiment % TURNS] = queue->served;
}
