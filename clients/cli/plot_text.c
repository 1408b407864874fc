/*
 * A plot in characters: the means of the groups (or a group's only line), axes and legend. See plot.h.
 *
 * Where there is colour and UTF-8, dots of braille characters (2 by 4 a character) in the group's colour; else a letter
 * a group.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/plot.h"

#define LABEL_COLUMNS 9

/* Cells, row by row from the top. */
struct canvas {
    const struct plot *plot;
    const struct terminal *terminal;
    int columns, rows;
    bool braille;
    uint8_t *dots; /* braille: a bit a dot; else 1 where there is something */
    int *groups;   /* whose it is: the line drawn last */
};

static void dot_set(struct canvas *canvas, double x, double y, int group) {
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    int wide = canvas->braille ? 2 : 1, high = canvas->braille ? 4 : 1;
    int column = (int)lround(x * (canvas->columns * wide - 1)), row = (int)lround((1 - y) * (canvas->rows * high - 1));
    if (column < 0 || row < 0 || column >= canvas->columns * wide || row >= canvas->rows * high) {
        return;
    }
    int cell = row / high * canvas->columns + column / wide;
    canvas->dots[cell] |= canvas->braille ? bits[row % 4][column % 2] : 1;
    canvas->groups[cell] = group;
}

/* The stretch between two points, dot by dot. */
static void stretch_draw(struct canvas *canvas, double x0, double y0, double x1, double y1, int group) {
    int steps = (int)(2 + fmax(fabs(x1 - x0) * canvas->columns * 2, fabs(y1 - y0) * canvas->rows * 4));
    for (int i = 0; i <= steps; i++) {
        double part = (double)i / steps;
        dot_set(canvas, x0 + part * (x1 - x0), y0 + part * (y1 - y0), group);
    }
}

static void line_draw(struct canvas *canvas, const struct plot *plot, const struct plot_axes *axes,
                      const struct plot_line *line) {
    double last_x = 0, last_y = NAN;
    for (size_t i = 0; i < line->curve.count; i++) {
        double x = (line->curve.x[i] - axes->x_low) / (axes->x_high - axes->x_low),
               y = plot_height(plot, axes, line->curve.y[i]);
        if (isfinite(y)) {
            stretch_draw(canvas, isfinite(last_y) ? last_x : x, isfinite(last_y) ? last_y : y, x, y, line->group);
        }
        last_x = x;
        last_y = y;
    }
}

static void cell_put(struct text *text, const struct canvas *canvas, int cell) {
    unsigned dots = canvas->dots[cell];
    if (dots == 0) {
        text_add(text, " ");
    } else if (canvas->braille) {
        unsigned code = 0x2800 + dots;
        char bytes[4] = {(char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3f)), (char)(0x80 | (code & 0x3f)),
                         '\0'};
        text_printf(text, "%s%s%s", terminal_paint(canvas->terminal, plot_paint(canvas->plot, canvas->groups[cell])),
                    bytes, terminal_paint(canvas->terminal, PAINT_NONE));
    } else {
        text_printf(text, "%c", 'a' + canvas->groups[cell] % 26);
    }
}

/* The label of the tick that falls into this row, "" where none does. */
static void label_find(const struct plot *plot, const struct plot_axes *axes, const struct canvas *canvas, int row,
                       char label[32]) {
    label[0] = '\0';
    for (int i = 0; i < axes->y_tick_count; i++) {
        if ((int)lround((1 - plot_height(plot, axes, axes->y_ticks[i])) * (canvas->rows - 1)) == row) {
            snprintf(label, 32, "%.4g", axes->y_ticks[i]);
        }
    }
}

static void rows_put(struct text *text, const struct plot *plot, const struct plot_axes *axes,
                     const struct canvas *canvas) {
    for (int row = 0; row < canvas->rows; row++) {
        char label[32];
        label_find(plot, axes, canvas, row, label);
        text_printf(text, "%*s %s", LABEL_COLUMNS - 2, label,
                    canvas->terminal->utf8 ? (*label != '\0' ? "\u2524" : "\u2502") : (*label != '\0' ? "+" : "|"));
        for (int column = 0; column < canvas->columns; column++) {
            cell_put(text, canvas, row * canvas->columns + column);
        }
        text_add(text, "\n");
    }
}

static void x_axis_put(struct text *text, const struct plot *plot, const struct plot_axes *axes,
                       const struct canvas *canvas) {
    char *labels = memory_allocate((size_t)canvas->columns + 64, 1);
    int free_from = 0;
    memset(labels, ' ', (size_t)canvas->columns + 32);
    text_printf(text, "%*s%s", LABEL_COLUMNS - 1, "", canvas->terminal->utf8 ? "\u2514" : "+");
    text_repeat(text, canvas->terminal->utf8 ? "\u2500" : "-", canvas->columns);
    for (int i = 0; i < axes->x_tick_count; i++) {
        char label[32];
        int length = snprintf(label, sizeof label, "%.6g", axes->x_ticks[i]);
        int at = (int)lround((axes->x_ticks[i] - axes->x_low) / (axes->x_high - axes->x_low) * (canvas->columns - 1)) -
                 length / 2;
        at = at < 0 ? 0 : at + length > canvas->columns ? canvas->columns - length : at;
        if (at >= free_from) {
            memcpy(labels + at, label, (size_t)length);
            free_from = at + length + 2;
        }
    }
    labels[canvas->columns] = '\0';
    text_printf(text, "\n%*s%s\n%*s%s\n", LABEL_COLUMNS, "", labels,
                LABEL_COLUMNS + (canvas->columns - (int)strlen(plot->x_name)) / 2, "", plot->x_name);
    free(labels);
}

static void legend_put(struct text *text, const struct plot *plot, const struct canvas *canvas, int columns) {
    for (int group = 0; group < plot->groups; group++) {
        struct text clean = {0};
        char letter[2] = {(char)('a' + group % 26), '\0'};
        terminal_clean(&clean, plot->names[group], false);
        text_printf(text, "%*s%s%s%s ", LABEL_COLUMNS, "",
                    terminal_paint(canvas->terminal, canvas->braille ? plot_paint(plot, group) : PAINT_NONE),
                    canvas->braille ? "\u2501\u2501" : letter, terminal_paint(canvas->terminal, PAINT_NONE));
        terminal_fit(canvas->terminal, text, clean.data == NULL ? "" : clean.data, columns - LABEL_COLUMNS - 4);
        text_add(text, "\n");
        text_release(&clean);
    }
}

void plot_text_put(struct text *text, const struct plot *plot, const struct terminal *terminal, int columns, int rows) {
    struct plot_axes axes;
    if (!plot_axes_find(plot, &axes)) {
        text_add(text, "(nothing to plot yet)\n");
        return;
    }
    struct canvas canvas = {.plot = plot,
                            .terminal = terminal,
                            .columns = columns - LABEL_COLUMNS - 1,
                            .rows = rows,
                            .braille = terminal->utf8 && (terminal->colour || plot->groups == 1)};
    canvas.columns = canvas.columns < 10 ? 10 : canvas.columns;
    size_t cells = (size_t)canvas.columns * (size_t)canvas.rows;
    canvas.dots = memory_allocate(cells, sizeof *canvas.dots);
    canvas.groups = memory_allocate(cells, sizeof *canvas.groups);
    for (size_t i = 0; i < plot->line_count; i++) {
        if (plot->lines[i].mean) {
            line_draw(&canvas, plot, &axes, &plot->lines[i]);
        }
    }
    text_printf(text, "%*s%s%s%s\n", LABEL_COLUMNS, "", terminal_paint(terminal, PAINT_BOLD), plot->y_name,
                terminal_paint(terminal, PAINT_NONE));
    rows_put(text, plot, &axes, &canvas);
    x_axis_put(text, plot, &axes, &canvas);
    legend_put(text, plot, &canvas, columns);
    free(canvas.dots);
    free(canvas.groups);
}
