/*
 * Parts of the command line that need no server: the event stream's parser at every cut, axes, sparklines, widths,
 * times, and what is to be done about a pool's allocations.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/events.h"
#include "clients/cli/format.h"
#include "clients/cli/plot.h"
#include "clients/cli/pools.h"
#include "clients/cli/terminal.h"
#include "tests/unit/suite.h"

/* What the parser produced, as one text: "id/type/data;". */
static bool collect(void *user, const char *id, const char *type, const char *data, size_t size) {
    ck_assert_uint_eq(strlen(data), size);
    text_printf(user, "%s/%s/%s;", id == NULL ? "no id" : id, type, data);
    return strcmp(data, "stop") != 0;
}

/* Parses `stream` in two pieces, cut at every position, and byte by byte. */
static void check_stream(const char *stream, size_t size, const char *expected) {
    for (size_t cut = 0; cut <= size + 1; cut++) {
        struct event_parser parser;
        struct text got = {0};
        text_add(&got, "");
        event_parser_init(&parser, collect, &got);
        if (cut <= size) {
            ck_assert(event_parser_feed(&parser, stream, cut));
            ck_assert(event_parser_feed(&parser, stream + cut, size - cut));
        } else {
            for (size_t i = 0; i < size; i++) {
                ck_assert(event_parser_feed(&parser, stream + i, 1));
            }
        }
        ck_assert_msg(strcmp(got.data, expected) == 0, "cut at %zu of \"%s\": got \"%s\", not \"%s\"", cut, stream,
                      got.data, expected);
        event_parser_release(&parser);
        text_release(&got);
    }
}

START_TEST(events_at_every_cut) {
    static const struct {
        const char *stream, *expected;
    } cases[] = {
        {"data: a\n\n", "/message/a;"},
        {"id: 1\nevent: progress\ndata: {}\n\nid: 2\ndata: b\n\n", "1/progress/{};2/message/b;"},
        {"data: a\r\ndata: b\r\rdata:c\n\n", "/message/a\nb;/message/c;"},
        {": heartbeat\n\n:\n\ndata: x\n\n", "/message/x;"},
        {"data\n\n", "/message/;"},
        {"data:  two spaces\nignored: field\nretry: soon\n\n", "/message/ two spaces;"},
        {"id: 7\n\ndata: keeps the id\n\n", "7/message/keeps the id;"},
        {"data: cut off\n", ""},
        {"event: only\n\n", ""},
        {"\xef\xbb\xbf"
         "data: mark\n\n",
         "/message/mark;"},
        {"\xef\xbb"
         "data: half a mark\n\ndata: b\n\n",
         "/message/b;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_stream(cases[i].stream, strlen(cases[i].stream), cases[i].expected);
    }
    check_stream("id: 1\0x\ndata: a\n\n", 17, "/message/a;"); /* an id with a NUL is ignored */
}
END_TEST

START_TEST(events_stop_and_restart) {
    struct event_parser parser;
    struct text got = {0};
    event_parser_init(&parser, collect, &got);
    ck_assert(event_parser_feed(&parser, "retry: 2500\nid: 3\ndata: a\n\ndata: half", 37));
    ck_assert_int_eq(parser.retry_milliseconds, 2500);
    event_parser_restart(&parser);
    ck_assert(event_parser_feed(&parser, "data: b\n\n", 9));
    ck_assert_str_eq(got.data, "3/message/a;3/message/b;");
    ck_assert(!event_parser_feed(&parser, "data: stop\n\ndata: after\n\n", 25));
    ck_assert_str_eq(got.data, "3/message/a;3/message/b;3/message/stop;");
    event_parser_release(&parser);
    text_release(&got);
}
END_TEST

START_TEST(control_characters_never_pass) {
    struct text text = {0};
    terminal_clean(&text, "a\033[31mb\x7f\xc2\x9b\xff\xe2\x80\xae\nc\xc3\xa9", false);
    ck_assert_str_eq(text.data, "a?[31mb???? c\xc3\xa9");
    text_release(&text);
    /* Every byte alone and in front of a letter: the output is printable or valid UTF-8. */
    for (int byte = 1; byte < 256; byte++) {
        char string[3] = {(char)byte, 'x', '\0'};
        terminal_clean(&text, string, false);
        for (size_t i = 0; i < text.size; i++) {
            ck_assert_msg((unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f, "byte %d", byte);
        }
        text_clear(&text);
    }
    text_release(&text);
}
END_TEST

START_TEST(text_is_cut_to_columns) {
    const struct terminal terminal = {.file = stdout};
    for (int columns = 0; columns < 12; columns++) {
        struct text text = {0};
        text_add(&text, "");
        int used = terminal_fit(&terminal, &text, "0123456789", columns);
        ck_assert_int_eq(used, columns < 10 ? columns : 10);
        ck_assert_uint_eq(text.size, (size_t)used);
        ck_assert(columns == 0 || columns >= 10 || text.data[used - 1] == '~');
        text_release(&text);
    }
}
END_TEST

START_TEST(axes_hold_all_points) {
    unsigned seed = 12345;
    for (int round = 0; round < 500; round++) {
        double x[20], y[20];
        double scale = pow(10, (double)(round % 17) - 8);
        for (int i = 0; i < 20; i++) {
            x[i] = i * 20;
            y[i] = scale * (double)(1 + rand_r(&seed) % 1000);
        }
        const struct plot_line line = {.curve = {x, y, 20}, .mean = true};
        const struct plot plot = {.lines = &line, .line_count = 1, .groups = 1, .logarithmic = round % 2 == 1};
        struct plot_axes axes;
        ck_assert(plot_axes_find(&plot, &axes));
        ck_assert_msg(axes.y_tick_count >= 2 && axes.x_tick_count >= 2, "round %d: %d ticks", round, axes.y_tick_count);
        for (int i = 0; i < 20; i++) {
            double height = plot_height(&plot, &axes, y[i]);
            ck_assert_msg(height >= -1e-9 && height <= 1 + 1e-9, "round %d: %g stands at %g", round, y[i], height);
        }
        for (int i = 0; i < axes.y_tick_count; i++) {
            double height = plot_height(&plot, &axes, axes.y_ticks[i]);
            ck_assert_msg(height > -1e-6 && height < 1 + 1e-6, "round %d: tick %g stands at %g", round, axes.y_ticks[i],
                          height);
            ck_assert(i == 0 || axes.y_ticks[i] > axes.y_ticks[i - 1]);
        }
    }
}
END_TEST

START_TEST(axes_of_odd_curves) {
    double x[] = {0, 20, 40}, gaps[] = {NAN, INFINITY, -1}, flat[] = {2, 2, 2};
    struct plot_line line = {.curve = {x, gaps, 3}, .mean = true};
    struct plot plot = {.lines = &line, .line_count = 1, .groups = 1, .logarithmic = true};
    struct plot_axes axes;
    ck_assert(!plot_axes_find(&plot, &axes));
    line.curve.y = flat;
    for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
        plot.logarithmic = logarithmic == 1;
        ck_assert(plot_axes_find(&plot, &axes));
        ck_assert(axes.y_high > axes.y_low && axes.y_low <= 2 && axes.y_high >= 2);
    }
    line.curve.count = 1; /* one evaluation so far */
    ck_assert(plot_axes_find(&plot, &axes) && axes.x_high > axes.x_low);
}
END_TEST

START_TEST(sparklines) {
    const double values[] = {8, 4, 2, 1}, flat[] = {1, 1, 1};
    struct text text = {0};
    sparkline_put(&text, values, 4, 10, false);
    ck_assert_str_eq(text.data, "#-._");
    text_clear(&text);
    sparkline_put(&text, flat, 3, 2, false);
    ck_assert_uint_eq(text.size, 2);
    text_release(&text);
}
END_TEST

START_TEST(quantities) {
    static const struct {
        double seconds;
        const char *text;
    } durations[] = {{0, "0.0 s"},     {9.94, "9.9 s"},    {9.96, "9 s"}, {59.9, "59 s"}, {187, "3m 07s"},
                     {7500, "2h 05m"}, {273600, "3d 04h"}, {-1, "-"},     {NAN, "-"},     {1e30, "-"}};
    char text[FORMAT_BYTES];
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        ck_assert_str_eq(format_duration(durations[i].seconds, text), durations[i].text);
    }
    ck_assert_str_eq(format_bytes(1536, text), "1.5 KiB");
    ck_assert_str_eq(format_bytes(12, text), "12 B");
    ck_assert_str_eq(format_count(12500000, text), "12.5 M");
    ck_assert_double_eq(time_parse("1970-01-02T00:00:01.500Z"), 86401.5);
    ck_assert(isnan(time_parse("yesterday")) && isnan(time_parse(NULL)) &&
              isnan(time_parse("1970-01-02T00:00:01+01:00")));
}
END_TEST

START_TEST(allocations_as_squeue_shows_them) {
    struct allocations found;
    ck_assert(allocations_read("", &found) && found.count == 0);
    ck_assert(allocations_read("12|RUNNING|None|59:00\n9|PENDING|Resources|1:00:00\n\n10|COMPLETED|None|0:00\n"
                               "11|NODE_FAIL|None|0:00\n13|CONFIGURING|None|1:00\n",
                               &found));
    ck_assert_uint_eq(found.count, 5);
    ck_assert_uint_eq(found.pending, 1);
    ck_assert_uint_eq(found.live, 2);
    ck_assert_str_eq(found.items[0].id, "9");
    ck_assert_str_eq(found.items[0].reason, "Resources");
    allocations_release(&found);
    static const char *const wrong[] = {"nonsense",         "12|RUNNING", "12|RUNNING|None",
                                        "x|RUNNING|None|1", "12||None|1", "9|PENDING|None|1\nslurm_load_jobs error"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(!allocations_read(wrong[i], &found), "%s", wrong[i]);
    }
}
END_TEST

START_TEST(pools_submit_what_is_missing_and_cancel_what_waits_in_vain) {
    static const struct {
        size_t pending, live;
        int64_t wanted, backlog, max_workers;
        int count;
    } cases[] = {{0, 0, 0, 2, 10, 0},  {0, 0, 1, 2, 10, 1},   {0, 0, 9, 2, 10, 2},   {1, 0, 9, 2, 10, 1},
                 {2, 0, 9, 2, 10, 0},  {3, 0, 9, 2, 10, 0},   {0, 9, 12, 2, 10, 1},  {0, 10, 99, 2, 10, 0},
                 {2, 3, 3, 2, 10, -2}, {2, 3, 4, 2, 10, -1},  {0, 12, 3, 2, 10, 0},  {1, 12, 3, 2, 10, -1},
                 {2, 0, 0, 2, 10, -2}, {0, 0, 1000, 5, 3, 3}, {0, 1, 1000, 5, 3, 2}, {2, 2, 1000, 5, 3, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pool pool = {.backlog = cases[i].backlog, .max_workers = cases[i].max_workers};
        const struct allocations there = {.pending = cases[i].pending, .live = cases[i].live};
        ck_assert_msg(pool_decide(&pool, &there, cases[i].wanted) == cases[i].count, "case %zu: %d", i,
                      pool_decide(&pool, &there, cases[i].wanted));
    }
}
END_TEST

START_TEST(allocations_whose_workers_never_joined) {
    struct allocations found;
    ck_assert(allocations_read("1|COMPLETED|None|0\n2|FAILED|None|0\n3|CANCELLED|None|0\n4|RUNNING|None|9\n"
                               "5|TIMEOUT|None|0\n6|PREEMPTED|None|0\n7|NODE_FAIL|None|0\n8|FAILED|None|0\n",
                               &found));
    json_t *workers = json_pack("[{s:s}, {s:s}, {}]", "external", "slurm:8", "external", "slurm:50");
    ck_assert_uint_eq(pool_strangers(&found, workers), 2);
    ck_assert_uint_eq(pool_strangers(&found, NULL), 3);
    json_decref(workers);
    allocations_release(&found);
}
END_TEST

START_TEST(scripts_and_words_of_allocations) {
    const struct pool pool = {.name = "night",
                              .program = (char[]){"/opt/it's/modpropd"},
                              .token_file = (char[]){"/home/a b/token"},
                              .sbatch_args = (char[]){"  --partition=main \"--comment=two words\" '--x= y'"},
                              .slots = 4,
                              .cores = 8,
                              .memory = (int64_t)2 << 30,
                              .walltime = 3601,
                              .idle = 120};
    char *script = pool_script(&pool, "http://lab:8080");
    ck_assert_ptr_nonnull(strstr(script, "exec '/opt/it'\\''s/modpropd' worker --server 'http://lab:8080'"));
    ck_assert_ptr_nonnull(strstr(script, "--token-file '/home/a b/token'"));
    ck_assert_ptr_nonnull(strstr(script, "--slots 4 --cores 8"));
    free(script);
    char **words = pool_words(&pool, false);
    size_t count = 0;
    while (words[count] != NULL) {
        count++;
    }
    ck_assert_str_eq(words[0], "sbatch");
    ck_assert_str_eq(words[1], "--parsable");
    ck_assert_str_eq(words[count - 3], "--partition=main");
    ck_assert_str_eq(words[count - 2], "--comment=two words");
    ck_assert_str_eq(words[count - 1], "--x= y");
    pool_words_release(words);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli");
    TCase *pools = tcase_create("pools");
    TCase *events = tcase_create("events"), *text = tcase_create("text"), *plots = tcase_create("plots");
    tcase_add_test(events, events_at_every_cut);
    tcase_add_test(events, events_stop_and_restart);
    tcase_add_test(text, control_characters_never_pass);
    tcase_add_test(text, text_is_cut_to_columns);
    tcase_add_test(text, quantities);
    tcase_add_test(plots, axes_hold_all_points);
    tcase_add_test(plots, axes_of_odd_curves);
    tcase_add_test(plots, sparklines);
    tcase_add_test(pools, allocations_as_squeue_shows_them);
    tcase_add_test(pools, pools_submit_what_is_missing_and_cancel_what_waits_in_vain);
    tcase_add_test(pools, allocations_whose_workers_never_joined);
    tcase_add_test(pools, scripts_and_words_of_allocations);
    suite_add_tcase(suite, pools);
    suite_add_tcase(suite, events);
    suite_add_tcase(suite, text);
    suite_add_tcase(suite, plots);
    return suite_run(suite);
}
