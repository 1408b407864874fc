/*
 * Lanes: see lanes.h.
 *
 * The order is fair queueing with tasks of one size: a token's next task gets the turn after its previous one, but
 * never an earlier turn than the one served now. So a new token waits for at most one task of each other token, however
 * many they have queued. A token's turns are divided among its clients in the same way.
 *
 * Rejected: a semaphore inside the pool's threads (a task that waits for a seat would occupy a thread that others
 * need); libuv's own queue (it is first come, first served, so one client's thousand tasks go first).
 */
#include "server/base/lanes.h"

#include <poll.h>
#include <stdlib.h>

#include "server/base/hash.h"
#include "server/base/thread.h"

static const struct {
    int first_seat, seats, most_of_one, seconds;
    const char *name; /* of the thread while it runs the lane's tasks */
} bounds[LANES] = {[LANE_READS] = {0, 3, 2, 60, "lane reads"},
                   [LANE_CHECKS] = {3, 2, 1, 120, "lane checks"},
                   [LANE_HEAVY] = {5, 2, 1, 300, "lane heavy"}};

struct lanes {
    struct loop *loop;
    size_t limit;
    struct lane_task *waiting[LANES]; /* in the order of arrival */
    struct lane_task *running[LANE_SEATS];
    uint64_t turn[LANES]; /* of the last one that started */
    int64_t memory;       /* bytes that the running tasks may take together */
    bool ending;
};

bool lane_is_stopped(void *task) {
    return atomic_load_explicit(&((struct lane_task *)task)->stop, memory_order_relaxed) != LANE_GO;
}

int lane_seconds(enum lane lane) {
    return bounds[lane].seconds;
}

/* The first reason is kept. */
static void task_stop(struct lane_task *task, enum lane_stop why) {
    int go = LANE_GO;
    atomic_compare_exchange_strong(&task->stop, &go, (int)why);
}

/* ---- on a thread of the pool ---- */

static void run(uv_work_t *work) {
    struct lane_task *task = work->data;
    thread_name_set(bounds[task->lane].name);
    if (!lane_is_stopped(task)) {
        task->run(task);
    }
    task->outcome = (enum lane_stop)atomic_load(&task->stop);
    thread_name_set(THREAD_IDLE);
}

/* ---- on the loop ---- */

static void lanes_start(struct lanes *lanes);

static void after_run(uv_work_t *work, int status) {
    struct lane_task *task = work->data;
    struct lanes *lanes = task->lanes;
    (void)status; /* nothing is cancelled */
    lanes->running[task->seat] = NULL;
    const struct loop_mark mark = loop_enter();
    task->finish(task);
    loop_leave(lanes->loop, LOOP_FINISH, &mark);
    lanes_start(lanes); /* another lane's task may have waited for its memory */
}

static void waiting_remove(struct lane_task *task) {
    struct lane_task **at = &task->lanes->waiting[task->lane];
    while (*at != task) {
        at = &(*at)->next;
    }
    *at = task->next;
}

static int seats_of(const struct lanes *lanes, enum lane lane, uint64_t token) {
    int count = 0;
    for (int i = bounds[lane].first_seat; i < bounds[lane].first_seat + bounds[lane].seats; i++) {
        count += lanes->running[i] != NULL && lanes->running[i]->token == token;
    }
    return count;
}

static int seat_free(const struct lanes *lanes, enum lane lane) {
    for (int i = bounds[lane].first_seat; i < bounds[lane].first_seat + bounds[lane].seats; i++) {
        if (lanes->running[i] == NULL) {
            return i;
        }
    }
    return -1;
}

int64_t lanes_memory_taken(const struct lanes *lanes) {
    int64_t taken = 0;
    for (int i = 0; i < LANE_SEATS; i++) {
        taken += lanes->running[i] == NULL ? 0 : lanes->running[i]->memory;
    }
    return taken;
}

static int64_t engines_taken(const struct lanes *lanes) {
    int64_t taken = 0;
    for (int i = 0; i < LANE_SEATS; i++) {
        taken += lanes->running[i] == NULL ? 0 : lanes->running[i]->engine;
    }
    return taken;
}

static bool fits(const struct lanes *lanes, int64_t needed, int64_t taken) {
    return needed == 0 || taken == 0 || needed <= lanes->memory - taken;
}

static bool memory_is_free(const struct lanes *lanes, const struct lane_task *task) {
    return fits(lanes, task->memory, lanes_memory_taken(lanes)) && fits(lanes, task->engine, engines_taken(lanes));
}

static bool takes_none(const struct lane_task *task) {
    return task->memory == 0 && task->engine == 0;
}

/* Whose turn it is, of all or (`light`) of those that take no memory. NULL: nobody waits who may have a seat. */
static struct lane_task *turn_next(const struct lanes *lanes, enum lane lane, bool light) {
    struct lane_task *next = NULL;
    for (struct lane_task *task = lanes->waiting[lane]; task != NULL; task = task->next) {
        if ((next == NULL || task->token_turn < next->token_turn) && (!light || takes_none(task)) &&
            seats_of(lanes, lane, task->token) < bounds[lane].most_of_one) {
            next = task;
        }
    }
    struct lane_task *first = next;
    for (struct lane_task *task = lanes->waiting[lane]; next != NULL && task != NULL; task = task->next) {
        if (task->token == next->token && (!light || takes_none(task)) && task->client_turn < first->client_turn) {
            first = task;
        }
    }
    if (first != next) { /* the token's turn goes to another of its clients */
        uint64_t turn = next->token_turn;
        next->token_turn = first->token_turn;
        first->token_turn = turn;
    }
    return first;
}

/* Whom to start: a task for which there is no memory yet keeps its turn, and those that take none pass it. */
static struct lane_task *waiting_next(const struct lanes *lanes, enum lane lane) {
    struct lane_task *next = turn_next(lanes, lane, false);
    return next == NULL || memory_is_free(lanes, next) ? next : turn_next(lanes, lane, true);
}

static void lane_start(struct lanes *lanes, enum lane lane) {
    int seat;
    struct lane_task *task;
    while (!lanes->ending && (seat = seat_free(lanes, lane)) >= 0 && (task = waiting_next(lanes, lane)) != NULL) {
        waiting_remove(task);
        lanes->turn[lane] = task->token_turn;
        lanes->running[seat] = task;
        task->seat = seat;
        task->deadline = clock_milliseconds() + (uint64_t)bounds[lane].seconds * 1000;
        task->work.data = task;
        uv_queue_work(&lanes->loop->uv, &task->work, run, after_run); /* fails without a callback alone */
    }
}

static void lanes_start(struct lanes *lanes) {
    for (int lane = 0; lane < LANES; lane++) {
        lane_start(lanes, (enum lane)lane);
    }
}

struct lanes *lanes_create(struct loop *loop, size_t limit, int64_t memory) {
    struct lanes *lanes = calloc(1, sizeof *lanes);
    if (lanes != NULL) {
        lanes->loop = loop;
        lanes->limit = limit;
        lanes->memory = memory;
    }
    return lanes;
}

/* The turns after those of the same token and client that wait or run. */
static void turns_give(const struct lanes *lanes, struct lane_task *task) {
    task->token_turn = lanes->turn[task->lane] + (uint64_t)seats_of(lanes, task->lane, task->token);
    task->client_turn = 0;
    for (int i = 0; i < LANE_SEATS; i++) {
        const struct lane_task *other = lanes->running[i];
        if (other != NULL && other->lane == task->lane && other->token == task->token) {
            /* the client being served has had its turn; a new client of the token gets the same turn, not a later
             * one */
            uint64_t turn = other->client_turn + (other->client == task->client);
            task->client_turn = turn > task->client_turn ? turn : task->client_turn;
        }
    }
    for (const struct lane_task *other = lanes->waiting[task->lane]; other != NULL; other = other->next) {
        if (other->token == task->token && other->token_turn >= task->token_turn) {
            task->token_turn = other->token_turn + 1;
        }
        if (other->token == task->token && other->client == task->client && other->client_turn >= task->client_turn) {
            task->client_turn = other->client_turn + 1;
        }
    }
}

bool lanes_submit(struct lanes *lanes, enum lane lane, const char *token, const char *client, struct lane_task *task) {
    size_t waiting = 0, own = 0;
    struct lane_task **at = &lanes->waiting[lane];
    task->client = name_hash(HASH_SEED, client);
    task->token = *token != '\0' ? name_hash(HASH_SEED, token) : task->client;
    for (; *at != NULL; at = &(*at)->next) {
        waiting++;
        own += (*at)->token == task->token;
    }
    if (lanes->ending || waiting >= lanes->limit || own >= (lanes->limit + 1) / 2) {
        return false;
    }
    task->lanes = lanes;
    task->lane = lane;
    turns_give(lanes, task);
    task->next = NULL;
    *at = task;
    lane_start(lanes, lane);
    return true;
}

static void finish_all(struct lane_task *task) {
    while (task != NULL) {
        struct lane_task *next = task->next;
        task->finish(task);
        task = next;
    }
}

/* Removes the waiting tasks whose clients are gone, in the order of arrival. */
static struct lane_task *waiting_take_gone(struct lanes *lanes, enum lane lane) {
    struct lane_task *gone = NULL, **last = &gone;
    for (struct lane_task **at = &lanes->waiting[lane]; *at != NULL;) {
        struct lane_task *task = *at;
        if (task->gone != NULL && task->gone(task)) {
            *at = task->next;
            task_stop(task, LANE_GONE);
            task->outcome = LANE_GONE;
            task->next = NULL;
            *last = task;
            last = &task->next;
        } else {
            at = &task->next;
        }
    }
    return gone;
}

void lanes_tick(struct lanes *lanes, uint64_t now) {
    if (lanes == NULL) {
        return;
    }
    for (int i = 0; i < LANE_SEATS; i++) {
        struct lane_task *task = lanes->running[i];
        if (task != NULL && now >= task->deadline) {
            task_stop(task, LANE_TIME);
        }
        if (task != NULL && task->gone != NULL && task->gone(task)) {
            task_stop(task, LANE_GONE);
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        finish_all(waiting_take_gone(lanes, (enum lane)lane));
    }
    lanes_start(lanes); /* a running task may take less than at its start */
}

static size_t running_count(const struct lanes *lanes) {
    size_t count = 0;
    for (int i = 0; i < LANE_SEATS; i++) {
        count += lanes->running[i] != NULL;
    }
    return count;
}

size_t lanes_depth(const struct lanes *lanes) {
    size_t depth = running_count(lanes);
    for (int lane = 0; lane < LANES; lane++) {
        for (const struct lane_task *task = lanes->waiting[lane]; task != NULL; task = task->next) {
            depth++;
        }
    }
    return depth;
}

static void stop_all(struct lanes *lanes) {
    for (int i = 0; i < LANE_SEATS; i++) {
        if (lanes->running[i] != NULL) {
            task_stop(lanes->running[i], LANE_ENDING);
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        struct lane_task *waiting = lanes->waiting[lane];
        lanes->waiting[lane] = NULL;
        for (struct lane_task *task = waiting; task != NULL; task = task->next) {
            task_stop(task, LANE_ENDING);
            task->outcome = LANE_ENDING;
        }
        finish_all(waiting);
    }
}

bool lanes_destroy(struct lanes *lanes, uint64_t until) {
    if (lanes == NULL) {
        return true;
    }
    lanes->ending = true;
    stop_all(lanes);
    while (running_count(lanes) > 0) {
        struct pollfd wait = {.fd = uv_backend_fd(&lanes->loop->uv), .events = POLLIN};
        if (clock_milliseconds() >= until) {
            return false;
        }
        poll(&wait, 1, 20);
        uv_run(&lanes->loop->uv, UV_RUN_NOWAIT);
    }
    free(lanes);
    return true;
}
