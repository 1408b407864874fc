/*
 * A plot as PNG or PDF, by gnuplot, if it is there. See plot.h.
 *
 * gnuplot reads its script from an unlinked file and not from a pipe, so that neither side can wait for the other.
 * Names go into single quotes, where gnuplot expands nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/cli/plot.h"
#include "clients/cli/report.h"

static void quote_put(struct text *text, const char *string) {
    struct text clean = {0};
    terminal_clean(&clean, string, false);
    text_add(text, "'");
    for (const char *c = clean.data == NULL ? "" : clean.data; *c != '\0'; c++) {
        text_append(text, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
    }
    text_add(text, "'");
    text_release(&clean);
}

static void data_put(struct text *text, const struct plot *plot, const struct curve *curve) {
    for (size_t i = 0; i < curve->count; i++) {
        if (isfinite(curve->y[i]) && (!plot->logarithmic || curve->y[i] > 0)) {
            text_printf(text, "%.17g %.17g\n", curve->x[i], curve->y[i]);
        } else {
            text_add(text, "\n"); /* a gap */
        }
    }
    text_add(text, "EOD\n");
}

static void script_make(struct text *text, const struct plot *plot) {
    text_add(text, plot->column
                       ? "set terminal pdfcairo noenhanced size 8.5cm,6.4cm font 'sans,7'\nset output\nset grid\n"
                       : "set terminal png size 1000,625\n"
                         "if (strstrt(GPVAL_TERMINALS, 'pngcairo') > 0) set terminal pngcairo noenhanced size 1000,625 "
                         "font 'sans,11'\n"
                         "set output\nset grid\n");
    /* One column of names, each of a row; "set key below" alone does not count the axis's name. */
    text_printf(text, "set bmargin %d\nset key at graph 0, screen 0.02 left bottom maxcols 1 Left reverse noenhanced\n",
                plot->groups + 5);
    text_add(text, plot->logarithmic ? "set logscale y\n" : "");
    text_add(text, "set title ");
    quote_put(text, plot->title);
    text_add(text, " noenhanced\nset xlabel ");
    quote_put(text, plot->x_name);
    text_add(text, " noenhanced\nset ylabel ");
    quote_put(text, plot->y_name);
    text_add(text, " noenhanced\n");
    for (size_t i = 0; i < plot->line_count; i++) {
        text_printf(text, "$d%zu << EOD\n", i);
        data_put(text, plot, &plot->lines[i].curve);
    }
    text_add(text, "plot ");
    for (size_t i = 0; i < plot->line_count; i++) {
        const struct plot_line *line = &plot->lines[i];
        text_printf(text, "%s$d%zu using 1:2 with lines lw %s dt %d lc rgb '%s%s' ", i > 0 ? ", " : "", i,
                    line->mean ? "2.5" : "1", plot_dash(plot, line->group) + 1, line->mean ? "#" : "#a0",
                    plot_colour(plot, line->group) + 1);
        if (line->mean) {
            text_add(text, "title ");
            quote_put(text, plot->names[line->group]);
        } else {
            text_add(text, "notitle");
        }
    }
    text_add(text, "\n");
}

/* Starts gnuplot with `script` as its input; its output comes out of *from. `quiet`: not its errors. 0 or an errno. */
static int start(FILE *script, pid_t *child, int *from, bool quiet) {
    int ends[2];
    posix_spawn_file_actions_t actions;
    char *const words[] = {(char[]){"gnuplot"}, NULL};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return errno;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(script), 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    if (quiet) { /* what it says of a terminal that it does not have */
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    }
    int error = posix_spawnp(child, "gnuplot", &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
    }
    *from = ends[0];
    return error;
}

static void read_all(int from, struct text *text) {
    char bytes[65536];
    for (;;) {
        ssize_t got = read(from, bytes, sizeof bytes);
        if (got > 0) {
            text_append(text, bytes, (size_t)got);
        } else if (got == 0 || errno != EINTR) {
            return;
        }
    }
}

/* Runs gnuplot. -1 or its exit status; *error, an errno, where it cannot be started. STATUS_FAILED: no temporary file.
 */
static enum status draw(const struct plot *plot, struct text *bytes, int *error, int *exit_status) {
    struct text script = {0};
    script_make(&script, plot);
    FILE *file = tmpfile();
    *exit_status = -1;
    if (file == NULL || fwrite(script.data, 1, script.size, file) != script.size || fflush(file) != 0) {
        enum status status = report_error(STATUS_FAILED, "cannot write a temporary file for gnuplot: %s",
                                          strerror(errno));
        text_release(&script);
        if (file != NULL) {
            fclose(file);
        }
        return status;
    }
    rewind(file);
    pid_t child = -1;
    int from = -1, wait_status = 0;
    *error = start(file, &child, &from, plot->column);
    if (*error == 0) {
        read_all(from, bytes);
        close(from);
        while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR) {
        }
        *exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
    }
    fclose(file);
    text_release(&script);
    return STATUS_OK;
}

enum status plot_png_make(struct text *png, const struct plot *plot) {
    struct plot_axes axes;
    int error = 0, exit_status;
    if (!plot_axes_find(plot, &axes)) {
        return report_error(STATUS_FAILED, "there is nothing to plot yet");
    }
    enum status status = draw(plot, png, &error, &exit_status);
    if (status != STATUS_OK) {
        return status;
    }
    if (error != 0) {
        return report_error(
            STATUS_FAILED,
            "a PNG is drawn by gnuplot, which cannot be started (%s): install it, or use a file named .svg",
            strerror(error));
    }
    return exit_status == 0 && png->size > 8 && memcmp(png->data, "\x89PNG", 4) == 0
               ? STATUS_OK
               : report_error(STATUS_FAILED, "gnuplot did not draw a PNG");
}

enum status plot_pdf_make(struct text *pdf, const struct plot *plot) {
    struct plot_axes axes;
    int error = 0, exit_status = -1;
    enum status status = plot_axes_find(plot, &axes) ? draw(plot, pdf, &error, &exit_status) : STATUS_FAILED;
    bool is_pdf = pdf->size > 8 && memcmp(pdf->data, "%PDF", 4) == 0;
    return status == STATUS_OK && error == 0 && exit_status == 0 && is_pdf ? STATUS_OK : STATUS_FAILED;
}
