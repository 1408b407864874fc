/*
 * Threads: see thread.h. Signals are blocked while a thread is created, so that it never receives one of the loop's.
 * Signals raised by faults stay unblocked: if they were blocked, they would end the process without the handler, and a
 * job that crashes the daemon would not be detected.
 *
 * The handler runs on its own stack, because the fault may be an overflow of the thread's stack. A destructor of the
 * thread's data frees it, at a point where sanitizers still expect it to be ours.
 *
 * libuv takes the stack size of the pool's threads from RLIMIT_STACK (1.44; later versions use 8 MB), so that limit is
 * set while the pool starts.
 */
#include "server/base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)8 << 20)
#define HANDLER_BYTES 16384
#define START_SECONDS 10

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define FATAL_COUNT (sizeof fatal / sizeof fatal[0])

/* ---- stacks of handlers ---- */

static pthread_key_t handler_key;
static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

static void handler_stack_free(void *room) {
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    free(room);
}

static void handler_key_make(void) {
    pthread_key_create(&handler_key, handler_stack_free);
}

/* Without this memory a fault still ends the process, but an overflow of the thread's stack is not reported. */
static void handler_stack_make(void) {
    pthread_once(&handler_once, handler_key_make);
    void *room = malloc(HANDLER_BYTES);
    const stack_t stack = {.ss_sp = room, .ss_size = HANDLER_BYTES};
    if (room != NULL && (pthread_setspecific(handler_key, room) != 0 || sigaltstack(&stack, NULL) != 0)) {
        free(room);
    }
}

/* ---- a thread of its own ---- */

struct beginning {
    void (*run)(void *user);
    void *user;
};

static void *begin(void *argument) {
    struct beginning beginning = *(struct beginning *)argument;
    free(argument);
    handler_stack_make();
    beginning.run(beginning.user);
    return NULL;
}

static void signals_block(sigset_t *before) {
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        sigdelset(&blocked, fatal[i]);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, before);
}

static bool thread_create(pthread_t *thread, void *(*run)(void *user), void *user) {
    pthread_attr_t attributes;
    sigset_t before;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    signals_block(&before);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    bool started = pthread_create(thread, &attributes, run, user) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

bool thread_start(pthread_t *thread, void (*run)(void *user), void *user) {
    struct beginning *beginning = malloc(sizeof *beginning);
    if (beginning == NULL) {
        return false;
    }
    *beginning = (struct beginning){.run = run, .user = user};
    bool started = thread_create(thread, begin, beginning);
    if (!started) {
        free(beginning);
    }
    return started;
}

void thread_name_set(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* ---- slices of time ---- */

#define SLICE_NANOSECONDS 100000 /* the least that Linux takes; its usual slice is a few milliseconds */
#define FLAG_RESET_ON_FORK 1

/* As sched_getattr(2) has it; the C library has no call of its own. */
struct slice_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

void thread_slices_shorten(void) {
    struct slice_attributes attributes = {0};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 && attributes.policy == 0) {
        attributes.size = sizeof attributes;
        attributes.flags = FLAG_RESET_ON_FORK;
        attributes.runtime = SLICE_NANOSECONDS;
        (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
    }
}

/* ---- the pool ---- */

/* All threads of the pool meet here, which proves that there are as many as requested. */
struct meeting {
    pthread_mutex_t mutex; /* guards the fields below */
    pthread_cond_t all;
    int expected, arrived;
};

/* Waits until all have arrived; false if they have not in time. */
static bool meeting_join(struct meeting *meeting) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += START_SECONDS;
    pthread_mutex_lock(&meeting->mutex);
    meeting->arrived++;
    pthread_cond_broadcast(&meeting->all);
    while (meeting->arrived < meeting->expected &&
           pthread_cond_timedwait(&meeting->all, &meeting->mutex, &until) == 0) {
    }
    bool met = meeting->arrived >= meeting->expected;
    pthread_mutex_unlock(&meeting->mutex);
    return met;
}

static void *trial(void *meeting) {
    meeting_join(meeting);
    return NULL;
}

/* Whether that many threads can exist at once. Returns how many could be started. */
static int threads_try(int threads) {
    struct meeting meeting = {.mutex = PTHREAD_MUTEX_INITIALIZER, .all = PTHREAD_COND_INITIALIZER, .expected = threads};
    pthread_t *all = calloc((size_t)threads, sizeof *all);
    int started = 0;
    while (all != NULL && started < threads && thread_create(&all[started], trial, &meeting)) {
        started++;
    }
    pthread_mutex_lock(&meeting.mutex);
    meeting.expected = started;
    pthread_cond_broadcast(&meeting.all);
    pthread_mutex_unlock(&meeting.mutex);
    for (int i = 0; i < started; i++) {
        pthread_join(all[i], NULL);
    }
    free(all);
    return started;
}

static struct meeting pool_meeting = {.mutex = PTHREAD_MUTEX_INITIALIZER, .all = PTHREAD_COND_INITIALIZER};

static void pool_prepare(uv_work_t *work) {
    (void)work;
    handler_stack_make();
    thread_name_set(THREAD_IDLE);
    meeting_join(&pool_meeting);
}

static void pool_prepared(uv_work_t *work, int status) {
    (void)status;
    free(work);
}

static bool pool_fill(uv_loop_t *loop, int threads) {
    pool_meeting.expected = threads + 1; /* plus the caller */
    for (int i = 0; i < threads; i++) {
        uv_work_t *work = malloc(sizeof *work);
        if (work == NULL || uv_queue_work(loop, work, pool_prepare, pool_prepared) != 0) {
            free(work);
            return false;
        }
    }
    return meeting_join(&pool_meeting);
}

bool pool_start(uv_loop_t *loop, int threads, char *error, size_t size) {
    struct rlimit limit, before;
    char text[16];
    sigset_t signals;
    int possible = threads > POOL_MOST ? POOL_MOST : threads_try(threads);
    if (possible < threads) {
        snprintf(
            error, size,
            "the daemon needs %d threads for jobs and requests and can have %d: lower --workers or --device-jobs, or "
            "raise the limit of processes (ulimit -u, TasksMax=) or of memory",
            threads, possible);
        return false;
    }
    snprintf(text, sizeof text, "%d", threads);
    setenv("UV_THREADPOOL_SIZE", text, 1);
    getrlimit(RLIMIT_STACK, &before);
    limit = before;
    limit.rlim_cur = limit.rlim_max < STACK_BYTES ? limit.rlim_max : STACK_BYTES;
    setrlimit(RLIMIT_STACK, &limit);
    signals_block(&signals);
    bool filled = pool_fill(loop, threads);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    setrlimit(RLIMIT_STACK, &before);
    if (!filled) {
        snprintf(error, size, "the pool of %d threads did not start within %d seconds", threads, START_SECONDS);
    }
    return filled;
}

/* ---- crashes ---- */

/*
 * The members of a team are threads that core starts and that know no job. But a new thread inherits the name of the
 * thread that starts it, and the handler can read that: "job 3" is whichever job runs in slot 3.
 */
#define SLOT_NAME "job "
#define LABEL_BYTES 40

static int mark = -1;
static char labels[POOL_MOST][LABEL_BYTES];

void thread_slot_enter(int slot, const char *label) {
    char name[16];
    snprintf(labels[slot], LABEL_BYTES, "%s", label);
    snprintf(name, sizeof name, SLOT_NAME "%d", slot);
    thread_name_set(name);
}

void thread_slot_leave(int slot) {
    thread_name_set(THREAD_IDLE);
    labels[slot][0] = '\0';
}

/* In a signal handler: only system calls and plain memory. */
static const char *thread_label(void) {
    char name[16] = "";
    prctl(PR_GET_NAME, name, 0, 0, 0);
    if (strncmp(name, SLOT_NAME, sizeof SLOT_NAME - 1) != 0) {
        return "";
    }
    size_t slot = 0;
    for (const char *c = name + sizeof SLOT_NAME - 1; *c >= '0' && *c <= '9'; c++) {
        slot = slot * 10 + (size_t)(*c - '0');
    }
    return slot < POOL_MOST ? labels[slot] : "";
}

static void on_fatal(int number) {
    const char *label = thread_label();
    (void)!write(mark, label, strlen(label));
    (void)!write(mark, "\n", 1);
    signal(number, SIG_DFL);
    raise(number);
}

void crash_mark_on_signals(int descriptor) {
    static unsigned char room[HANDLER_BYTES]; /* of the calling thread, which is the loop */
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};
    mark = descriptor;
    sigaltstack(&stack, NULL);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        sigaction(fatal[i], &action, NULL);
    }
}
