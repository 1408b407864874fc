/*
 * A plot as an SVG document: single lines thin and pale, means thick, a legend below. See plot.h.
 *
 * Plain SVG 1.1 with sizes in user units and generic fonts, so that browsers, Inkscape and LaTeX show the same. Names
 * are the user's: they are escaped, and control characters, which XML forbids, are replaced.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/plot.h"

#define COLUMN_MILLIMETRES 85.0

/* In user units. A column's are such that 85 mm hold its width, and that its text has 7 points. */
struct layout {
    int width, left, right, top, height, row, font, title;
};

static const struct layout page = {800, 70, 20, 40, 380, 20, 13, 15}, column = {344, 46, 10, 24, 190, 14, 10, 10};

static const struct layout *layout_of(const struct plot *plot) {
    return plot->column ? &column : &page;
}

static void escape_put(struct text *text, const char *string) {
    struct text clean = {0};
    terminal_clean(&clean, string, false);
    for (const char *c = clean.data == NULL ? "" : clean.data; *c != '\0'; c++) {
        const char *entity = *c == '&'   ? "&amp;"
                             : *c == '<' ? "&lt;"
                             : *c == '>' ? "&gt;"
                             : *c == '"' ? "&quot;"
                                         : NULL;
        text_append(text, entity == NULL ? c : entity, entity == NULL ? 1 : strlen(entity));
    }
    text_release(&clean);
}

static double x_place(const struct plot *plot, const struct plot_axes *axes, double x) {
    const struct layout *at = layout_of(plot);
    return at->left + (x - axes->x_low) / (axes->x_high - axes->x_low) * (at->width - at->left - at->right);
}

static double y_place(const struct plot *plot, const struct plot_axes *axes, double y) {
    const struct layout *at = layout_of(plot);
    return at->top + (1 - plot_height(plot, axes, y)) * at->height;
}

static void axes_put(struct text *text, const struct plot *plot, const struct plot_axes *axes) {
    const struct layout *at = layout_of(plot);
    int bottom = at->top + at->height, right = at->width - at->right;
    for (int i = 0; i < axes->y_tick_count; i++) {
        double y = y_place(plot, axes, axes->y_ticks[i]);
        text_printf(text, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", at->left, y, right,
                    y);
        text_printf(text, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", at->left - at->row / 3,
                    y + 0.3 * at->font, axes->y_ticks[i]);
    }
    for (int i = 0; i < axes->x_tick_count; i++) {
        double x = x_place(plot, axes, axes->x_ticks[i]);
        text_printf(text, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#333\"/>\n", x, bottom, x,
                    bottom + 5);
        text_printf(text, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>\n", x, bottom + at->font + 7,
                    axes->x_ticks[i]);
    }
    text_printf(text, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#333\"/>\n", at->left, at->top, bottom, right);
    text_printf(text, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (at->left + right) / 2,
                bottom + 2 * at->row + 2);
    escape_put(text, plot->x_name);
    text_printf(text, "</text>\n<text transform=\"translate(%d %d) rotate(-90)\" text-anchor=\"middle\">", at->font + 3,
                at->top + at->height / 2);
    escape_put(text, plot->y_name);
    text_add(text, "</text>\n");
}

/* The attribute of a dashed line; nothing for a solid one. */
static const char *dash_attribute(const struct plot *plot, int group) {
    static const char *const attributes[PLOT_DASHES] = {"", " stroke-dasharray=\"7 4\"", " stroke-dasharray=\"2 3\"",
                                                        " stroke-dasharray=\"9 3 2 3\""};
    return attributes[plot_dash(plot, group)];
}

/* Gaps break the path; a single point between two gaps is a dot by its round cap. */
static void line_put(struct text *text, const struct plot *plot, const struct plot_axes *axes,
                     const struct plot_line *line, bool alone) {
    bool drawing = false;
    text_printf(text, "<path class=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-opacity=\"%s\"%s d=\"",
                line->mean ? "mean" : "seed", plot_colour(plot, line->group),
                line->mean && !alone ? "2.5"
                : line->mean         ? "1.8"
                                     : "1",
                line->mean ? "1" : "0.35", dash_attribute(plot, line->group));
    for (size_t i = 0; i < line->curve.count; i++) {
        double y = plot_height(plot, axes, line->curve.y[i]);
        if (!isfinite(y)) {
            drawing = false;
            continue;
        }
        text_printf(text, "%s%.2f %.2f", drawing ? "L" : "M", x_place(plot, axes, line->curve.x[i]),
                    y_place(plot, axes, line->curve.y[i]));
        if (!drawing) {
            text_add(text, "h0");
        }
        drawing = true;
    }
    text_add(text, "\"/>\n");
}

static void legend_put(struct text *text, const struct plot *plot) {
    const struct layout *at = layout_of(plot);
    int y = at->top + at->height + 3 * at->row + 6;
    for (int group = 0; group < plot->groups; group++, y += at->row) {
        text_printf(text, "<path d=\"M%d %dh28\" stroke=\"%s\" stroke-width=\"3\"%s/>\n<text x=\"%d\" y=\"%d\">",
                    at->left, y - 4, plot_colour(plot, group), dash_attribute(plot, group), at->left + 36, y);
        escape_put(text, plot->names[group]);
        text_add(text, "</text>\n");
    }
}

void plot_svg_put(struct text *text, const struct plot *plot) {
    struct plot_axes axes;
    const struct layout *at = layout_of(plot);
    int height = at->top + at->height + 3 * at->row + at->row * plot->groups;
    bool any = plot_axes_find(plot, &axes);
    size_t seeds = 0;
    for (size_t i = 0; i < plot->line_count; i++) {
        seeds += !plot->lines[i].mean;
    }
    text_add(text, "<svg xmlns=\"http://www.w3.org/2000/svg\" ");
    if (plot->column) {
        text_printf(text, "width=\"%.0fmm\" height=\"%.1fmm\"", COLUMN_MILLIMETRES,
                    COLUMN_MILLIMETRES * height / at->width);
    } else {
        text_printf(text, "width=\"%d\" height=\"%d\"", at->width, height);
    }
    text_printf(text,
                " viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"sans-serif\" font-size=\"%d\" "
                "fill=\"#333\">\n<title>",
                at->width, height, at->font);
    escape_put(text, plot->title);
    text_printf(text,
                "</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"%d\" font-size=\"%d\">",
                at->width, height, at->left, at->top * 3 / 5, at->title);
    escape_put(text, plot->title);
    text_add(text, "</text>\n");
    if (any) {
        axes_put(text, plot, &axes);
        text_add(text, "<g stroke-linejoin=\"round\" stroke-linecap=\"round\">\n");
        for (int mean = 0; mean < 2; mean++) {
            for (size_t i = 0; i < plot->line_count; i++) {
                if (plot->lines[i].mean == (mean == 1)) {
                    line_put(text, plot, &axes, &plot->lines[i], seeds == 0);
                }
            }
        }
        text_add(text, "</g>\n");
    } else {
        text_printf(text, "<text x=\"%d\" y=\"%d\">nothing to plot yet</text>\n", at->left, at->top + 30);
    }
    legend_put(text, plot);
    text_add(text, "</svg>\n");
}
