/*
 * Signals as flags: what loops read between two waits. The handler only sets them.
 */
#ifndef MODPROP_CLI_SIGNALS_H
#define MODPROP_CLI_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/*
 * SIGINT, SIGTERM, SIGHUP set a flag once, the second one ends the process; SIGWINCH sets another. System calls are not
 * restarted.
 */
void signals_begin(void);

bool signals_interrupted(void);
/* True once after the terminal was resized. */
bool signals_resized(void);

/*
 * The reader of a pipe went away: ends the process as SIGPIPE does. Curl holds that signal back while it hands us an
 * answer, so a write that fails there calls this. Returns only where SIGPIPE was ignored when the program began.
 */
void signals_pipe_closed(void);

#endif
