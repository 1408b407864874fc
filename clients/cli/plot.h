/*
 * Curves: what they are, their axes, and how they are drawn with characters.
 */
#ifndef MODPROP_CLI_PLOT_H
#define MODPROP_CLI_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "clients/cli/status.h"
#include "clients/cli/terminal.h"

#define PLOT_TICKS_MAX 16
#define PLOT_DASHES 4

/* Points in ascending x; a y that is not finite is a gap. */
struct curve {
    double *x, *y;
    size_t count;
};

struct plot_line {
    struct curve curve;
    int group; /* the colour */
    bool mean; /* drawn thick, and named in the legend */
};

struct plot {
    const char *title, *x_name, *y_name;
    const char *const *names; /* of the groups */
    /* Of each group, from the server: "#rrggbb" (else the group's own below), and a dash, 0: solid. NULL: none. */
    const char *const *colours;
    const int *dashes;
    int groups;
    const struct plot_line *lines;
    size_t line_count;
    bool logarithmic; /* the y axis; values of 0 and below are gaps */
    bool column;      /* SVG and PDF: as wide as a journal's column (85 mm), its text at 7 points */
};

/* Ranges of all lines and round tick marks. `logarithmic` ticks are powers of ten, with 2 and 5 where there is room. */
struct plot_axes {
    double x_low, x_high, y_low, y_high;
    double x_ticks[PLOT_TICKS_MAX], y_ticks[PLOT_TICKS_MAX];
    int x_tick_count, y_tick_count;
};

/* False where no line has a point that can be drawn. */
bool plot_axes_find(const struct plot *plot, struct plot_axes *axes);

/* Where y stands between the bottom (0) and the top (1); NAN for a gap. */
double plot_height(const struct plot *plot, const struct plot_axes *axes, double y);

/*
 * A small picture of `count` values in at most `columns` characters: means of equal stretches, logarithmic where all
 * are above 0.
 */
void sparkline_put(struct text *text, const double *values, size_t count, int columns, bool utf8);

/* The plot in `columns` by `rows` characters, axes and legend included. */
void plot_text_put(struct text *text, const struct plot *plot, const struct terminal *terminal, int columns, int rows);

/* The plot as an SVG document. */
void plot_svg_put(struct text *text, const struct plot *plot);

/* The plot as PNG bytes, by gnuplot. Complains: STATUS_FAILED where gnuplot is not installed or fails. */
enum status plot_png_make(struct text *png, const struct plot *plot);

/* The same as PDF, of a column's width. STATUS_FAILED without a complaint where gnuplot cannot do it. */
enum status plot_pdf_make(struct text *pdf, const struct plot *plot);

/* The colour of a group, "#rrggbb": the server's, else Okabe and Ito's, which the colour-blind distinguish. */
const char *plot_colour(const struct plot *plot, int group);
/* The dash of a group, 0 (solid) to PLOT_DASHES - 1. */
int plot_dash(const struct plot *plot, int group);
/* The same for a terminal, which has fewer: by the group, where two groups have one colour. */
enum paint plot_paint(const struct plot *plot, int group);
/* The paint of the group'th of those without colours of their own. */
enum paint plot_group_paint(int group);

#endif
