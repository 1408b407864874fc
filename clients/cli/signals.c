/*
 * Signals as flags. See signals.h.
 */
#include "clients/cli/signals.h"

#include <stddef.h>

static volatile sig_atomic_t interrupted, resized;
static bool pipe_ignored;

static void handle(int number) {
    if (number == SIGWINCH) {
        resized = 1;
    } else {
        interrupted = 1;
    }
}

void signals_begin(void) {
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct sigaction action = {.sa_handler = handle, .sa_flags = (int)SA_RESETHAND}, old;
        /* What runs us may have chosen to ignore a signal (nohup): leave it so. */
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(ends[i], &action, NULL);
        }
    }
    struct sigaction window = {.sa_handler = handle}, pipe;
    sigaction(SIGWINCH, &window, NULL);
    pipe_ignored = sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_IGN;
}

bool signals_interrupted(void) {
    return interrupted != 0;
}

bool signals_resized(void) {
    bool was = resized != 0;
    resized = 0;
    return was;
}

void signals_pipe_closed(void) {
    if (!pipe_ignored) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
}
