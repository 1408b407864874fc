/*
 * Another program: see process.h. posix_spawn and poll; what it reads is short, and is written while it is read from,
 * so that neither side waits for the other for ever.
 */
#include "clients/cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h> /* <poll.h> would be this folder's own */
#include <sys/wait.h>
#include <unistd.h>

#include "clients/cli/format.h"

#define OUTPUT_MOST ((size_t)16 << 20)

/* The parent's ends of its three streams; -1: closed. */
struct streams {
    int in, out, err;
};

static void stream_close(int *descriptor) {
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

/* The child, or -1 with errno. */
static pid_t spawn(const char *const *words, struct streams *streams) {
    int pipes[3][2];
    pid_t child = -1;
    posix_spawn_file_actions_t actions;
    for (int i = 0; i < 3; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) != 0) {
            while (i-- > 0) {
                close(pipes[i][0]);
                close(pipes[i][1]);
            }
            return -1;
        }
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[0][0], 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipes[2][1], 2);
    int error = posix_spawnp(&child, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    *streams = (struct streams){pipes[0][1], pipes[1][0], pipes[2][0]};
    errno = error;
    return error == 0 ? child : -1;
}

/* Takes what there is; closes at its end. */
static void stream_read(int *descriptor, struct text *text) {
    char buffer[4096];
    ssize_t got = read(*descriptor, buffer, sizeof buffer);
    if (got > 0 && text->size < OUTPUT_MOST) {
        text_append(text, buffer, (size_t)got);
    } else if (got <= 0 && errno != EINTR) {
        stream_close(descriptor);
    }
}

static void stream_write(int *descriptor, const char **input) {
    ssize_t sent = **input == '\0' ? 0 : write(*descriptor, *input, strlen(*input));
    *input += sent > 0 ? sent : 0;
    if (**input == '\0' || (sent < 0 && errno != EINTR)) {
        stream_close(descriptor);
    }
}

/* False: its time was over. */
static bool streams_serve(struct streams *streams, const char *input, struct process *process, double until) {
    while (streams->out >= 0 || streams->err >= 0) {
        struct pollfd polled[] = {{streams->out, POLLIN, 0}, {streams->err, POLLIN, 0}, {streams->in, POLLOUT, 0}};
        double left = until - time_monotonic();
        if (left <= 0) {
            return false;
        }
        if (poll(polled, 3, (int)(left * 1000) + 1) < 0 && errno != EINTR) {
            return false;
        }
        if (polled[0].revents != 0) {
            stream_read(&streams->out, &process->out);
        }
        if (polled[1].revents != 0) {
            stream_read(&streams->err, &process->err);
        }
        if (polled[2].revents != 0) {
            stream_write(&streams->in, &input);
        }
    }
    return true;
}

struct process process_run(const char *const *words, const char *input, int seconds) {
    struct process process = {.status = -1};
    struct streams streams = {-1, -1, -1};
    int status = 0;
    text_add(&process.out, "");
    text_add(&process.err, "");
    pid_t child = spawn(words, &streams);
    if (child < 0) {
        text_printf(&process.err, "%s cannot be run: %s", words[0], strerror(errno));
        return process;
    }
    if (input == NULL || *input == '\0') {
        stream_close(&streams.in);
    }
    bool ended = streams_serve(&streams, input == NULL ? "" : input, &process, time_monotonic() + seconds);
    if (!ended) {
        kill(child, SIGKILL);
        text_printf(&process.err, "%s did not answer within %d seconds", words[0], seconds);
    }
    stream_close(&streams.in);
    stream_close(&streams.out);
    stream_close(&streams.err);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    process.status = ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return process;
}

void process_release(struct process *process) {
    text_release(&process->out);
    text_release(&process->err);
}
