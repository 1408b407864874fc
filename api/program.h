/*
 * What every program of this project does first. See program.c.
 */
#ifndef MODPROP_API_PROGRAM_H
#define MODPROP_API_PROGRAM_H

/*
 * Takes the numbers 0, 1 and 2 where they were closed (`<&-`), so that no file opened later gets one of them and
 * receives what is meant for a terminal. Reading and writing there go on failing with EBADF. Call it before anything is
 * opened.
 */
void program_hold_standard_descriptors(void);

#endif
