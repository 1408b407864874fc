/*
 * Exit statuses: part of the program's interface, listed in `modprop help` and modprop(1); scripts rely on them.
 */
#ifndef MODPROP_CLI_STATUS_H
#define MODPROP_CLI_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_JOB = 1,          /* a job that was followed failed or was cancelled; doctor found a fault */
    STATUS_USAGE = 2,        /* flags, arguments, settings, or a file that is not what the command takes */
    STATUS_UNREACHABLE = 3,  /* no answer from the server */
    STATUS_REFUSED = 4,      /* the server said no (4xx or 5xx) */
    STATUS_FAILED = 5,       /* this machine: a file, memory, a missing program, an answer that cannot be understood */
    STATUS_INTERRUPTED = 130 /* Ctrl-C or a signal */
};

#endif
