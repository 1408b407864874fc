/*
 * The live display of one job. See progress.h.
 */
#include "clients/cli/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/plot.h"

#define BAR_MAX 40
#define SPARK_MAX 60

/* A line in the making: its text with colours, and the columns that it takes. */
struct line {
    struct text text;
    int width, columns;
};

void progress_init(struct progress *progress, const struct terminal *terminal) {
    *progress = (struct progress){.terminal = *terminal};
}

/* Adds what fits; a piece that does not fit whole is left out, so that no number is ever cut in two. */
static bool piece_add(struct line *line, const struct terminal *terminal, const char *piece, enum paint paint) {
    int width = terminal_width(piece);
    if (line->width + width > line->columns) {
        return false;
    }
    text_printf(&line->text, "%s%s%s", paint == PAINT_NONE ? "" : terminal_paint(terminal, paint), piece,
                paint == PAINT_NONE ? "" : terminal_paint(terminal, PAINT_NONE));
    line->width += width;
    return true;
}

static void title_line(struct line *line, const struct terminal *terminal, const struct progress_view *view) {
    struct text fitted = {0};
    text_add(&fitted, "");
    terminal_fit(terminal, &fitted, view->title, line->columns);
    piece_add(line, terminal, fitted.data, PAINT_BOLD);
    text_release(&fitted);
}

static void bar_add(struct line *line, const struct terminal *terminal, double fraction, int width) {
    static const char *const eighths[] = {"", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589"};
    int steps = (int)(fraction * width * 8), full = steps / 8, part = steps % 8;
    struct text done = {0}, rest = {0};
    text_add(&done, "");
    text_add(&rest, "");
    if (terminal->utf8) {
        text_repeat(&done, "\u2588", full);
        text_add(&done, eighths[part]);
        text_repeat(&rest, "\u2591", width - full - (part > 0));
    } else {
        text_repeat(&done, "#", full);
        text_repeat(&rest, ".", width - full);
    }
    piece_add(line, terminal, done.data, PAINT_CYAN);
    piece_add(line, terminal, rest.data, PAINT_DIM);
    text_release(&done);
    text_release(&rest);
}

/* What stands behind the bar: share, count, time left; where there is no room first the count goes, then the time. */
static void bar_words(struct text *words, const struct progress_view *view, double fraction, int columns) {
    char share[32], count[64], left[FORMAT_BYTES + 16] = "", duration[FORMAT_BYTES];
    snprintf(share, sizeof share, "  %3.0f %%", floor(100 * fraction));
    snprintf(count, sizeof count, "  %lld/%lld", view->iteration, view->iterations);
    if (view->seconds_left >= 0) {
        snprintf(left, sizeof left, "  %s left", format_duration(view->seconds_left, duration));
    }
    bool has_count = strlen(share) + strlen(count) + strlen(left) <= (size_t)columns;
    bool has_left = strlen(share) + strlen(left) <= (size_t)columns;
    text_printf(words, "%s%s%s", share, has_count ? count : "", has_left ? left : "");
}

static void bar_line(struct line *line, const struct terminal *terminal, const struct progress_view *view) {
    double fraction = view->iterations > 0 ? (double)view->iteration / (double)view->iterations : 0;
    struct text after = {0};
    fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    piece_add(line, terminal, view->status, job_status_paint(view->status));
    piece_add(line, terminal, "  ", PAINT_NONE);
    bar_words(&after, view, fraction, line->columns - line->width);
    int room = line->columns - line->width - terminal_width(after.data);
    if (room >= 8) {
        bar_add(line, terminal, fraction, room > BAR_MAX ? BAR_MAX : room);
    }
    piece_add(line, terminal, after.data, PAINT_NONE);
    text_release(&after);
}

static void number_add(struct line *line, const struct terminal *terminal, const char *name, const char *value) {
    char piece[128];
    snprintf(piece, sizeof piece, "%s%s %s", line->width > 0 ? "   " : "", name, value);
    piece_add(line, terminal, piece, PAINT_NONE);
}

static void numbers_line(struct line *line, const struct terminal *terminal, const struct progress_view *view) {
    char value[64], count[FORMAT_BYTES];
    if (view->note != NULL) {
        struct text fitted = {0};
        text_add(&fitted, "");
        terminal_fit(terminal, &fitted, view->note, line->columns);
        piece_add(line, terminal, fitted.data, PAINT_YELLOW);
        text_release(&fitted);
        return;
    }
    if (isfinite(view->loss)) {
        snprintf(value, sizeof value, "%.4g", view->loss);
        number_add(line, terminal, "loss", value);
    }
    if (isfinite(view->accuracy)) {
        snprintf(value, sizeof value, "%.1f %%", 100 * view->accuracy);
        number_add(line, terminal, "accuracy", value);
    }
    if (isfinite(view->trials_per_second)) {
        snprintf(value, sizeof value, "%s trials/s", format_count(view->trials_per_second, count));
        number_add(line, terminal, "speed", value);
    }
}

static void spark_line(struct line *line, const struct terminal *terminal, const struct progress_view *view) {
    struct text spark = {0};
    char first[32], last[32];
    if (view->loss_count < 2) {
        return;
    }
    snprintf(first, sizeof first, "loss %.3g ", view->losses[0]);
    snprintf(last, sizeof last, " %.3g", view->losses[view->loss_count - 1]);
    int room = line->columns - (int)strlen(first) - (int)strlen(last);
    if (room < 4) {
        return;
    }
    text_add(&spark, "");
    sparkline_put(&spark, view->losses, view->loss_count, room > SPARK_MAX ? SPARK_MAX : room, terminal->utf8);
    piece_add(line, terminal, first, PAINT_DIM);
    piece_add(line, terminal, spark.data, PAINT_CYAN);
    piece_add(line, terminal, last, PAINT_DIM);
    text_release(&spark);
}

/* Goes to the first column of the first line that stands there. */
static void home_put(struct progress *progress, struct text *text) {
    int columns = terminal_columns(&progress->terminal), rows = 0;
    for (int i = 0; i < progress->drawn; i++) {
        rows += progress->widths[i] <= columns ? 1 : (progress->widths[i] + columns - 1) / columns;
    }
    text_add(text, progress->drawn > 0 ? "\r" : "");
    if (rows > 1) {
        text_printf(text, "\033[%dA", rows - 1);
    }
    progress->drawn = 0;
}

static void flush(struct progress *progress, const struct text *text) {
    if (text->size > 0) {
        fwrite(text->data, 1, text->size, progress->terminal.file);
    }
    fflush(progress->terminal.file);
}

void progress_draw(struct progress *progress, const struct progress_view *view) {
    static void (*const makers[PROGRESS_LINES])(struct line *line, const struct terminal *terminal,
                                                const struct progress_view *view) = {title_line, bar_line, numbers_line,
                                                                                     spark_line};
    struct text screen = {0};
    int columns = terminal_columns(&progress->terminal) - 1; /* a full last column makes some terminals wrap */
    home_put(progress, &screen);
    for (int i = 0; i < PROGRESS_LINES; i++) {
        struct line line = {.columns = columns};
        text_add(&line.text, "");
        makers[i](&line, &progress->terminal, view);
        if (line.width > 0) {
            text_printf(&screen, "%s%s\033[K", progress->drawn > 0 ? "\r\n" : "", line.text.data);
            progress->widths[progress->drawn++] = line.width;
        }
        text_release(&line.text);
    }
    /* What is left of more lines than these. Clearing from the first line on would flicker, and where that is the
       screen's first some terminals (tmux) take it for a cleared screen and keep a copy in their history each time. */
    text_add(&screen, "\033[J");
    flush(progress, &screen);
    text_release(&screen);
}

/* Columns of a line, its colours not counted. */
static int line_width(const char *line) {
    struct text bare = {0};
    text_add(&bare, "");
    for (const char *at = line; *at != '\0';) {
        size_t length = strcspn(at, "\033");
        text_append(&bare, at, length);
        at += length;
        at += *at == '\0' ? 0 : strcspn(at, "m") + (at[strcspn(at, "m")] == 'm');
    }
    int width = terminal_width(bare.data);
    text_release(&bare);
    return width;
}

void progress_draw_text(struct progress *progress, const char *text) {
    struct text screen = {0};
    char *copy = memory_copy(text), *rest = copy;
    home_put(progress, &screen);
    for (const char *line; progress->drawn < PROGRESS_ROWS_MAX && (line = strsep(&rest, "\n")) != NULL;) {
        text_printf(&screen, "%s%s\033[K", progress->drawn > 0 ? "\r\n" : "", line);
        progress->widths[progress->drawn++] = line_width(line);
    }
    text_add(&screen, "\033[J");
    flush(progress, &screen);
    text_release(&screen);
    free(copy);
}

void progress_erase(struct progress *progress) {
    struct text screen = {0};
    bool any = progress->drawn > 0;
    home_put(progress, &screen);
    text_add(&screen, any ? "\033[J" : "");
    flush(progress, &screen);
    text_release(&screen);
}

void progress_leave(struct progress *progress) {
    if (progress->drawn > 0) {
        fputs("\r\n", progress->terminal.file);
        fflush(progress->terminal.file);
    }
    progress->drawn = 0;
}
