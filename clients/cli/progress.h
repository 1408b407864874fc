/*
 * The live display on a terminal, redrawn in place: of one job its title, bar, numbers and a sparkline; or any lines.
 *
 * Owns the lines below the cursor and nothing else. It redraws by going up over what it drew last; after a resize a
 * terminal may have folded those lines, so their number is computed anew from their widths. Rejected: the alternate
 * screen (the result would vanish with it) and curses (one more library for four lines).
 */
#ifndef MODPROP_CLI_PROGRESS_H
#define MODPROP_CLI_PROGRESS_H

#include "clients/cli/terminal.h"

#define PROGRESS_LINES 4
#define PROGRESS_ROWS_MAX 512

struct progress {
    struct terminal terminal;
    int widths[PROGRESS_ROWS_MAX]; /* of what stands there now, in columns */
    int drawn;                     /* lines that stand there now */
    double drawn_at;               /* monotonic seconds */
};

/* What there is to show. */
struct progress_view {
    const char *title;
    const char *status;
    const char *note; /* instead of the numbers: "connection lost, ..."; NULL: none */
    long long iteration, iterations;
    double seconds_left;      /* negative: not known */
    double loss, accuracy;    /* NAN: not known */
    double trials_per_second; /* NAN: not known */
    const double *losses;     /* (loss_count) of the evaluations so far */
    size_t loss_count;
};

void progress_init(struct progress *progress, const struct terminal *terminal);
void progress_draw(struct progress *progress, const struct progress_view *view);
/* The same of lines that are made already (colours allowed), none of them wider than the terminal. */
void progress_draw_text(struct progress *progress, const char *text);
/* Takes the lines away: other text will be printed. */
void progress_erase(struct progress *progress);
/* Leaves the lines and goes below them. */
void progress_leave(struct progress *progress);

#endif
