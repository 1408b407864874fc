/*
 * Signals as flags: what loops read between two waits. The handler only sets them.
 */
#ifndef MODPROP_CLI_SIGNALS_H
#define MODPROP_CLI_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* SIGINT, SIGTERM, SIGHUP set a flag once, the second one ends the process; SIGWINCH sets another. System calls are not restarted. */
void signals_begin(void);

bool signals_interrupted(void);
/* True once after the terminal was resized. */
bool signals_resized(void);

#endif
