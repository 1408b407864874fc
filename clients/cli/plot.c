/*
 * Curves: axes, sparklines, colours. See plot.h.
 */
#include "clients/cli/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_colour(const char *text) {
    return text != NULL && text[0] == '#' && strlen(text) == 7 && strspn(text + 1, "0123456789abcdefABCDEF") == 6;
}

const char *plot_colour(const struct plot *plot, int group) {
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                          "#e69f00", "#56b4e9", "#000000", "#8c7800"};
    return plot->colours != NULL && is_colour(plot->colours[group])
               ? plot->colours[group]
               : colours[(size_t)group % (sizeof colours / sizeof colours[0])];
}

int plot_dash(const struct plot *plot, int group) {
    return plot->dashes == NULL || plot->dashes[group] < 0 ? 0 : plot->dashes[group] % PLOT_DASHES;
}

enum paint plot_group_paint(int group) {
    static const enum paint paints[] = {PAINT_BLUE, PAINT_RED, PAINT_GREEN, PAINT_MAGENTA, PAINT_YELLOW, PAINT_CYAN};
    return paints[(size_t)group % (sizeof paints / sizeof paints[0])];
}

enum paint plot_paint(const struct plot *plot, int group) {
    static const struct {
        const char *colour;
        enum paint paint;
    } paints[] = {{"#0072b2", PAINT_BLUE},    {"#d55e00", PAINT_RED},    {"#009e73", PAINT_GREEN},
                  {"#cc79a7", PAINT_MAGENTA}, {"#e69f00", PAINT_YELLOW}, {"#56b4e9", PAINT_CYAN},
                  {"#000000", PAINT_NONE}};
    for (int i = 0; i < plot->groups && plot->colours != NULL; i++) {
        if (i != group && strcasecmp(plot_colour(plot, i), plot_colour(plot, group)) == 0) {
            return plot_group_paint(group);
        }
    }
    for (size_t i = 0; plot->colours != NULL && i < sizeof paints / sizeof *paints; i++) {
        if (strcasecmp(paints[i].colour, plot_colour(plot, group)) == 0) {
            return paints[i].paint;
        }
    }
    return plot_group_paint(group);
}

static bool can_draw(const struct plot *plot, double y) {
    return isfinite(y) && (!plot->logarithmic || y > 0);
}

/*
 * Round steps (1, 2 or 5 times a power of ten), about `wanted` of them; the ends are widened to whole steps where
 * `widen`.
 */
static int linear_ticks(double *low, double *high, int wanted, bool widen, double ticks[PLOT_TICKS_MAX]) {
    double step = pow(10, floor(log10((*high - *low) / wanted)));
    double ratio = (*high - *low) / wanted / step;
    int count = 0;
    step *= ratio > 5 ? 10 : ratio > 2 ? 5 : ratio > 1 ? 2 : 1;
    if (widen) {
        *low = floor(*low / step + 1e-9) * step;
        *high = ceil(*high / step - 1e-9) * step;
    }
    for (double k = ceil(*low / step - 1e-9); k * step <= *high + 1e-9 * step && count < PLOT_TICKS_MAX; k++) {
        ticks[count++] = k * step + 0.0; /* never -0 */
    }
    return count;
}

/* Powers of ten, with 2 and 5 between them where there are few; over less than a decade equal steps are rounder. */
static int logarithmic_ticks(double low, double high, double ticks[PLOT_TICKS_MAX]) {
    static const double steps[3] = {1, 2, 5};
    double decades = log10(high / low);
    int between = decades < 2.5 ? 3 : 1, skip = (int)ceil((decades + 1) / PLOT_TICKS_MAX), count = 0;
    if (decades < 0.8) {
        return linear_ticks(&low, &high, 5, false, ticks);
    }
    for (int power = (int)floor(log10(low)); power <= (int)ceil(log10(high)); power += skip) {
        for (int i = 0; i < between; i++) {
            double tick = steps[i] * pow(10, power);
            if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9) && count < PLOT_TICKS_MAX) {
                ticks[count++] = tick;
            }
        }
    }
    return count;
}

bool plot_axes_find(const struct plot *plot, struct plot_axes *axes) {
    *axes = (struct plot_axes){.x_low = INFINITY, .x_high = -INFINITY, .y_low = INFINITY, .y_high = -INFINITY};
    for (size_t i = 0; i < plot->line_count; i++) {
        const struct curve *curve = &plot->lines[i].curve;
        for (size_t j = 0; j < curve->count; j++) {
            if (can_draw(plot, curve->y[j])) {
                axes->x_low = fmin(axes->x_low, curve->x[j]);
                axes->x_high = fmax(axes->x_high, curve->x[j]);
                axes->y_low = fmin(axes->y_low, curve->y[j]);
                axes->y_high = fmax(axes->y_high, curve->y[j]);
            }
        }
    }
    if (!isfinite(axes->x_low)) {
        return false;
    }
    axes->x_high = axes->x_high > axes->x_low ? axes->x_high : axes->x_low + 1;
    if (plot->logarithmic) {
        axes->y_low /= 1.1;
        axes->y_high *= 1.1;
        axes->y_tick_count = logarithmic_ticks(axes->y_low, axes->y_high, axes->y_ticks);
    } else {
        double margin = axes->y_high > axes->y_low ? 0 : fmax(fabs(axes->y_high) * 0.1, 1e-6);
        axes->y_low -= margin;
        axes->y_high += margin;
        axes->y_tick_count = linear_ticks(&axes->y_low, &axes->y_high, 5, true, axes->y_ticks);
    }
    axes->x_tick_count = linear_ticks(&axes->x_low, &axes->x_high, 6, false, axes->x_ticks);
    return true;
}

double plot_height(const struct plot *plot, const struct plot_axes *axes, double y) {
    if (!can_draw(plot, y)) {
        return NAN;
    }
    return plot->logarithmic ? log(y / axes->y_low) / log(axes->y_high / axes->y_low)
                             : (y - axes->y_low) / (axes->y_high - axes->y_low);
}

void sparkline_put(struct text *text, const double *values, size_t count, int columns, bool utf8) {
    static const char *const blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588"};
    static const char *const ascii[] = {"_", "_", ".", ".", "-", "-", "=", "#"};
    size_t cells = count < (size_t)columns ? count : (size_t)columns;
    double low = INFINITY, high = -INFINITY;
    bool logarithmic = true;
    double *means = memory_allocate(cells, sizeof *means);
    for (size_t i = 0; i < count; i++) {
        logarithmic = logarithmic && values[i] > 0;
    }
    for (size_t c = 0; c < cells; c++) {
        size_t from = c * count / cells, to = (c + 1) * count / cells;
        for (size_t i = from; i < to; i++) {
            means[c] += (logarithmic ? log(values[i]) : values[i]) / (double)(to - from);
        }
        low = fmin(low, means[c]);
        high = fmax(high, means[c]);
    }
    for (size_t c = 0; c < cells; c++) {
        int level = high > low ? (int)(7.999 * (means[c] - low) / (high - low)) : 3;
        text_add(text, (utf8 ? blocks : ascii)[level < 0 ? 0 : level > 7 ? 7 : level]);
    }
    free(means);
}
