/*
 * What the server found, as tables and plots: points, trials, comparisons, curves, of an experiment or of any jobs
 * (POST /v1/compare). Every number, label and colour is the server's; nothing is computed here.
 */
#ifndef MODPROP_CLI_FINDINGS_H
#define MODPROP_CLI_FINDINGS_H

#include "clients/cli/commands.h"
#include "clients/cli/table.h"

#define PLOT_POINTS 12 /* curves of one plot; more look alike */

/* A row for each point: label, seeds, and of each metric the median with its quartiles. Names are kept by reference. */
void points_table_make(struct table *table, const json_t *points, bool with_progress);

/* A row for each trial: condition, seed, job, state, and its metrics. */
void trials_table_make(struct table *table, const json_t *trials);

/* A row for each comparison: the paired difference with its interval, share of seeds won, p values, pairs needed. */
void comparisons_table_make(struct table *table, const json_t *comparisons);

/*
 * Curves of the key into the file `path`, or onto standard output (NULL, "-"): medians thick, quartiles (or each seed's
 * curve, where the answer has them) thin beside them; in characters the medians alone. The command's options --scale
 * and --x count.
 */
enum status curves_plot(const struct cli *cli, const json_t *curves, const char *key, const char *path);

/*
 * A figure at the width of a journal's column: SVG, or PDF by gnuplot (STATUS_FAILED, without a complaint, where it is
 * not installed or has no PDF). Drawn are the median and the quartiles, or each seed's curve, as in a file of
 * curves_plot; the y axis is logarithmic for losses.
 */
enum status curves_figure_put(struct text *bytes, const json_t *curves, const char *key, bool pdf);

/* Whether `path` (NULL: none) is one that curves_plot takes. Complains. */
enum status plot_path_check(const char *option, const char *path);

#endif
