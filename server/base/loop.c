/*
 * The loop thread: see loop.h.
 *
 * uv_async_send coalesces, so each wake-up takes a portion of the queue and wakes itself again for the rest. Signals
 * come through libuv (a pipe), never in a signal handler. The tick measures its own lateness: a lagging loop is the
 * first sign of work in the wrong place.
 */
#include "server/base/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define TICK_MILLISECONDS 1000
#define MESSAGES_A_ROUND 64

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP};

uint64_t clock_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- the measure ---- */

const char *const loop_callback_names[LOOP_CALLBACKS] = {"request", "answer", "message", "finish", "tick"};

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct loop_mark loop_enter(void) {
    return (struct loop_mark){.cpu_seconds = cpu_seconds(), .read = reading_done()};
}

void loop_leave(struct loop *loop, enum loop_callback callback, const struct loop_mark *mark) {
    struct loop_load *load = &loop->loads[callback];
    const struct reading read = reading_done();
    double cpu = cpu_seconds() - mark->cpu_seconds;
    uint64_t steps = read.steps - mark->read.steps, bytes = read.bytes - mark->read.bytes;
    load->cpu_seconds = cpu > load->cpu_seconds ? cpu : load->cpu_seconds;
    load->read.steps = steps > load->read.steps ? steps : load->read.steps;
    load->read.bytes = bytes > load->read.bytes ? bytes : load->read.bytes;
}

/* ---- the door ---- */

void loop_post(struct loop *loop, struct loop_message *message) {
    message->next = NULL;
    pthread_mutex_lock(&loop->mutex);
    *loop->last = message;
    loop->last = &message->next;
    pthread_mutex_unlock(&loop->mutex);
    uv_async_send(&loop->door);
}

/* Takes at most `most` messages from the queue. */
static struct loop_message *messages_take(struct loop *loop, int most) {
    pthread_mutex_lock(&loop->mutex);
    struct loop_message *first = loop->first, **end = &loop->first;
    for (int i = 0; i < most && *end != NULL; i++) {
        end = &(*end)->next;
    }
    struct loop_message *rest = *end;
    *end = NULL;
    loop->first = rest;
    loop->last = rest == NULL ? &loop->first : loop->last;
    pthread_mutex_unlock(&loop->mutex);
    return first;
}

static void messages_deliver(struct loop *loop, struct loop_message *message) {
    while (message != NULL) {
        struct loop_message *next = message->next;
        const struct loop_mark mark = loop_enter();
        message->deliver(message);
        loop_leave(loop, LOOP_MESSAGE, &mark);
        message = next;
    }
}

void loop_deliver(struct loop *loop) {
    for (struct loop_message *taken; (taken = messages_take(loop, MESSAGES_A_ROUND)) != NULL;) {
        messages_deliver(loop, taken);
    }
}

/* One portion; the rest, and what it posted, waits for the loop's next round, after sockets and timers. */
static void on_door(uv_async_t *door) {
    struct loop *loop = door->data;
    messages_deliver(loop, messages_take(loop, MESSAGES_A_ROUND));
    pthread_mutex_lock(&loop->mutex);
    bool more = loop->first != NULL;
    pthread_mutex_unlock(&loop->mutex);
    if (more) {
        uv_async_send(&loop->door);
    }
}

static void on_signal(uv_signal_t *handle, int number) {
    struct loop *loop = handle->data;
    loop->hooks.signal(loop->hooks.user, number);
}

static void on_tick(uv_timer_t *timer) {
    struct loop *loop = timer->data;
    uint64_t now = clock_milliseconds();
    loop->lag_seconds = now > loop->tick_due ? (double)(now - loop->tick_due) * 1e-3 : 0.0;
    if (loop->lag_seconds > loop->lag_max_seconds) {
        loop->lag_max_seconds = loop->lag_seconds;
    }
    loop->tick_due = now + TICK_MILLISECONDS;
    const struct loop_mark mark = loop_enter();
    loop->hooks.tick(loop->hooks.user, now);
    loop_leave(loop, LOOP_TICK, &mark);
    uv_timer_start(timer, on_tick, TICK_MILLISECONDS, 0);
}

int loop_init(struct loop *loop, const struct loop_hooks *hooks) {
    memset(loop, 0, sizeof *loop);
    loop->hooks = *hooks;
    loop->last = &loop->first;
    int result = uv_loop_init(&loop->uv);
    if (result != 0) {
        errno = -result;
        return -1;
    }
    pthread_mutex_init(&loop->mutex, NULL);
    loop->door.data = loop->timer.data = loop;
    uv_timer_init(&loop->uv, &loop->timer);
    result = uv_async_init(&loop->uv, &loop->door, on_door);
    for (size_t i = 0; result == 0 && i < sizeof signal_numbers / sizeof signal_numbers[0]; i++) {
        loop->signals[i].data = loop;
        result = uv_signal_init(&loop->uv, &loop->signals[i]);
        if (result == 0) {
            result = uv_signal_start(&loop->signals[i], on_signal, signal_numbers[i]);
        }
    }
    loop->tick_due = clock_milliseconds() + TICK_MILLISECONDS;
    uv_timer_start(&loop->timer, on_tick, TICK_MILLISECONDS, 0);
    if (result != 0) {
        loop_release(loop);
        errno = -result;
        return -1;
    }
    return 0;
}

void loop_run(struct loop *loop) {
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop) {
    uv_stop(&loop->uv);
}

static void close_handle(uv_handle_t *handle, void *user) {
    (void)user;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void loop_release(struct loop *loop) {
    loop_deliver(loop);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    pthread_mutex_destroy(&loop->mutex);
}
