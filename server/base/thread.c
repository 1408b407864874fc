/*
 * Threads: see thread.h. Signals are blocked while a thread is made, so that it never takes one of the loop's; those
 * that a fault raises stay open: blocked, they would end the process without the handler, and a job that crashes the
 * daemon would not be found out.
 *
 * The handler runs on a stack of its own, since a fault may be the end of the thread's; it lies in the thread's first
 * frame, which lives as long as the thread.
 */
#include "server/base/thread.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)8 << 20)
#define HANDLER_BYTES 16384

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define FATAL_COUNT (sizeof fatal / sizeof fatal[0])

struct beginning {
    void (*run)(void *user);
    void *user;
};

static void *begin(void *argument) {
    struct beginning beginning = *(struct beginning *)argument;
    unsigned char room[HANDLER_BYTES];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    free(argument);
    sigaltstack(&stack, NULL);
    beginning.run(beginning.user);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    return NULL;
}

bool thread_start(pthread_t *thread, void (*run)(void *user), void *user) {
    struct beginning *beginning = malloc(sizeof *beginning);
    pthread_attr_t attributes;
    sigset_t blocked, before;
    if (beginning == NULL || pthread_attr_init(&attributes) != 0) {
        free(beginning);
        return false;
    }
    *beginning = (struct beginning){.run = run, .user = user};
    sigfillset(&blocked);
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        sigdelset(&blocked, fatal[i]);
    }
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    bool started = pthread_create(thread, &attributes, begin, beginning) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!started) {
        free(beginning);
    }
    return started;
}

/* ---- crashes ---- */

static int mark = -1;

static void on_fatal(int number) {
    (void)!write(mark, "1", 1);
    signal(number, SIG_DFL);
    raise(number);
}

void crash_mark_on_signals(int descriptor) {
    static unsigned char room[HANDLER_BYTES]; /* of the thread that calls, which is the loop's */
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};
    mark = descriptor;
    sigaltstack(&stack, NULL);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        sigaction(fatal[i], &action, NULL);
    }
}
