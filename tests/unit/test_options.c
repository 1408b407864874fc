/*
 * Options: words, values and lines of files, as daemon and command line both accept them.
 */
#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/options.h"
#include "tests/unit/suite.h"

static const struct option table[] = {{"count", 'c', OPTION_INTEGER, "N", -1, 20, false, ""},
                                      {"max-body", 0, OPTION_BYTES, "BYTES", 1, INT64_MAX, false, ""},
                                      {"timeout", 't', OPTION_SECONDS, "SECONDS", 1, 86400, false, ""},
                                      {"all", 'a', OPTION_SWITCH, NULL, 0, 0, false, ""},
                                      {"format", 0, OPTION_CHOICE, "text|json", 0, 0, false, ""},
                                      {"name", 'n', OPTION_TEXT, "NAME", 0, 0, false, ""},
                                      OPTIONS_END};
static const struct option_words words = {.tables = {{table, sizeof *table}}, .program = "program"};
static char fault[OPTION_FAULT_BYTES];

static int64_t number_of(const char *name, const char *value) {
    int64_t number = 0;
    ck_assert_msg(option_read_value(option_find(&words, name, strlen(name)), name, value, &number, fault), "%s", fault);
    return number;
}

static void refuses(const char *name, const char *value, const char *sentence) {
    int64_t number;
    ck_assert(!option_read_value(option_find(&words, name, strlen(name)), name, value, &number, fault));
    ck_assert_str_eq(fault, sentence);
}

START_TEST(values_are_read_by_their_type) {
    ck_assert_int_eq(number_of("count", "-1"), -1);
    ck_assert_int_eq(number_of("max_body", "64K"), 65536);
    ck_assert_int_eq(number_of("max-body", "8GiB"), INT64_C(8) << 30);
    ck_assert_int_eq(number_of("max-body", "1tB"), INT64_C(1) << 40);
    ck_assert_int_eq(number_of("timeout", "90"), 90);
    ck_assert_int_eq(number_of("timeout", "15m"), 900);
    ck_assert_int_eq(number_of("timeout", "1d"), 86400);
    ck_assert_int_eq(number_of("all", "Yes"), 1);
    ck_assert_int_eq(number_of("format", "json"), 1);
}
END_TEST

START_TEST(faults_name_the_constraint) {
    static const char *const numbers[] = {"", " 1", "+1", "1 ", "0x1", "1.5", "21", "99999999999999999999", "-2", "1K"};
    char sentence[200];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        snprintf(sentence, sizeof sentence, "count must be an integer from -1 to 20; got \"%s\"", numbers[i]);
        refuses("count", numbers[i], sentence);
    }
    refuses("max-body", "8E", "max-body must be a number of bytes (such as 512K or 8G) of at least 1; got \"8E\"");
    refuses("max-body", "9999999T",
            "max-body must be a number of bytes (such as 512K or 8G) of at least 1; got \"9999999T\"");
    refuses("timeout", "2w", "timeout must be a number of seconds (such as 90, 15m or 2h) from 1 to 86400; got \"2w\"");
    refuses("all", "maybe", "all must be true or false; got \"maybe\"");
    refuses("format", "tex", "format must be one of text, json; got \"tex\"");
    refuses("format", "", "format must be one of text, json; got \"\"");
    refuses("name", "", "name must not be empty");
}
END_TEST

/* What take received: "name=value " each. */
static bool take(void *user, const struct option *option, const char *value, char to[OPTION_FAULT_BYTES]) {
    char *seen = user;
    (void)to;
    strcat(strcat(strcat(strcat(seen, option->name), "="), value == NULL ? "" : value), " ");
    return true;
}

static const char *read_word(char *first, char *second, int expected) {
    static char seen[256];
    char *arguments[] = {first, second};
    int used = 0;
    seen[0] = fault[0] = '\0';
    if (!option_read_word(&words, arguments, second == NULL ? 1 : 2, &used, take, seen, fault)) {
        return fault;
    }
    ck_assert_int_eq(used, expected);
    return seen;
}

#define WORD(text) ((char[]){text})

START_TEST(words_are_long_or_letters) {
    ck_assert_str_eq(read_word(WORD("--count=3"), WORD("x"), 1), "count=3 ");
    ck_assert_str_eq(read_word(WORD("--max_body"), WORD("3"), 2), "max-body=3 ");
    ck_assert_str_eq(read_word(WORD("--all"), WORD("x"), 1), "all= ");
    ck_assert_str_eq(read_word(WORD("--all=no"), NULL, 1), "all=no ");
    ck_assert_str_eq(read_word(WORD("-ac3"), WORD("x"), 1), "all= count=3 ");
    ck_assert_str_eq(read_word(WORD("-an"), WORD("x"), 2), "all= name=x ");
    ck_assert_str_eq(read_word(WORD("--count"), NULL, 1), "--count needs a value (N)");
    ck_assert_str_eq(read_word(WORD("-n"), NULL, 1), "--name needs a value (NAME)");
    ck_assert_str_eq(read_word(WORD("--cuont=3"), NULL, 1),
                     "there is no option --cuont; did you mean --count? (program --help lists them)");
    ck_assert_str_eq(read_word(WORD("-z"), NULL, 1), "there is no option -z (program --help lists them)");
}
END_TEST

static bool take_setting(void *user, const char *path, int line, const char *key, const char *value,
                         char to[OPTION_FAULT_BYTES]) {
    char *seen = user, one[256];
    (void)path;
    (void)to;
    snprintf(one, sizeof one, "%d:%s=[%s] ", line, key, value);
    strcat(seen, one);
    return true;
}

static const char *read_file(const char *bytes, size_t size) {
    static char seen[512];
    char *text = calloc(1, size + 1);
    memcpy(text, bytes, size);
    seen[0] = fault[0] = '\0';
    bool done = settings_read_text(text, size, "file", take_setting, seen, fault);
    free(text);
    return done ? seen : fault;
}

#define FILE_OF(text) read_file(text, sizeof(text) - 1)

START_TEST(lines_of_files_are_read_as_most_programs_do) {
    ck_assert_str_eq(FILE_OF("\xef\xbb\xbf"
                             "a = 1\r\n\n#b\n  # c = d\n\te_f=g h \t\n"),
                     "1:a=[1] 5:e_f=[g h] ");
    ck_assert_str_eq(FILE_OF("a = x # note\nb = x#y\nc = \"x # y\" # z\nd = \"\"\ne =\nf = a=b"),
                     "1:a=[x] 2:b=[x#y] 3:c=[x # y] 4:d=[] 5:e=[] 6:f=[a=b] ");
    ck_assert_str_eq(FILE_OF(""), "");
    ck_assert_str_eq(FILE_OF("a\n"), "file:1 must read \"key = value\"; got \"a\"");
    ck_assert_str_eq(FILE_OF("\n= 1\n"), "file:2 must read \"key = value\"; got \"= 1\"");
    ck_assert_str_eq(FILE_OF("a = \"b\" c\n"),
                     "file:1: a value that begins with a double quote must end with the next one; got \"a = \"b\" c\"");
    ck_assert_str_eq(FILE_OF("a = \0b\n"), "file must be text; it holds a zero byte");
    ck_assert_str_eq(FILE_OF("\xff\xfe"
                             "a\0"),
                     "file must be text in UTF-8; it begins as UTF-16 does");
}
END_TEST

START_TEST(lists_and_variables) {
    size_t length = 0;
    const char *rest = "a, b ,,c", *entry;
    char seen[64] = "", name[64];
    while ((entry = option_list_next(&rest, &length)) != NULL) {
        strncat(strcat(seen, "|"), entry, length);
    }
    ck_assert_str_eq(seen, "|a|b||c");
    option_variable(&table[1], "PREFIX_", name);
    ck_assert_str_eq(name, "PREFIX_MAX_BODY");
}
END_TEST

struct fields {
    char *name;
    int64_t count, format;
    bool all;
    struct text_list hosts;
};

#define FIELD(name) offsetof(struct fields, name)

static const struct option_row rows[] = {
    {{"name", 0, OPTION_TEXT, "NAME", 0, 0, false, "what it is called"}, FIELD(name), NULL},
    {{"count", 0, OPTION_INTEGER, "N", 0, 9, false, "how many"}, FIELD(count), "4"},
    {{"format", 0, OPTION_CHOICE, "text|json", 0, 0, false, "how it looks"}, FIELD(format), "json"},
    {{"all", 0, OPTION_SWITCH, NULL, 0, 0, false, "every one"}, FIELD(all), "false"},
    {{"host", 0, OPTION_LIST, "NAME", 0, 0, false, "from where"}, FIELD(hosts), "a"},
    OPTION_ROWS_END,
};

/* The fields as one text, and nothing left of them. */
static const char *fields_say(struct fields *fields) {
    static char text[256];
    int used = snprintf(text, sizeof text, "%s %d %d %d", fields->name == NULL ? "-" : fields->name, (int)fields->count,
                        (int)fields->format, fields->all);
    for (size_t i = 0; i < fields->hosts.count; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, " %s", fields->hosts.items[i]);
    }
    option_rows_release(rows, fields);
    ck_assert_ptr_null(fields->name);
    ck_assert_ptr_null(fields->hosts.items);
    return text;
}

/* Defaults, then the words of a line; the fault or what the fields hold. */
static const char *read_rows(const char *line, const char **stop) {
    static const char *const stops[] = {"--help", NULL};
    struct fields fields = {0};
    char copy[128], *arguments[8];
    int count = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL && count < 8; word = strtok(NULL, " ")) {
        arguments[count++] = word;
    }
    ck_assert(option_rows_default(rows, &fields, fault));
    bool done = option_rows_read_words(rows, "program", &fields, count, arguments, stops, stop, fault);
    const char *text = fields_say(&fields);
    return done ? text : fault;
}

START_TEST(rows_fill_a_struct_from_words) {
    const char *stop;
    ck_assert_str_eq(read_rows("--name=x", &stop), "x 4 1 0 a");
    ck_assert_str_eq(read_rows("--name x --name y --count=7 --format text --all", &stop), "y 7 0 1 a");
    ck_assert_str_eq(read_rows("--host b,c --host=d", &stop), "- 4 1 0 b c d"); /* they replace the default */
    ck_assert_ptr_null(stop);
    ck_assert_str_eq(read_rows("--count=2 --help --count=3", &stop), "- 2 1 0 a");
    ck_assert_str_eq(stop, "--help");
    ck_assert_str_eq(read_rows("--count=10", &stop), "--count must be an integer from 0 to 9; got \"10\"");
    ck_assert_str_eq(read_rows("--host=b,,c", &stop), "--host must not have an empty entry");
    ck_assert_str_eq(read_rows("x", &stop), "\"x\" is not an option of program (program --help lists them)");
    ck_assert_str_eq(read_rows("-", &stop), "\"-\" is not an option of program (program --help lists them)");
}
END_TEST

START_TEST(rows_take_variables_and_describe_themselves) {
    char *environment[] = {WORD("MODPROP=1"), WORD("P_COUNTER=1"), WORD("P_COUNT=5"), WORD("P_HOST=b"), NULL};
    struct fields fields = {0};
    char name[64], line[OPTION_HELP_BYTES];
    ck_assert(option_rows_default(rows, &fields, fault));
    for (const struct option_row *row = rows; row->option.name != NULL; row++) {
        const char *value = option_variable_find(&row->option, "P_", environment, name);
        ck_assert(value == NULL || option_row_set(row, &fields, value, name, true, fault));
    }
    ck_assert(option_row_set(&rows[4], &fields, "c", "again", false, fault));
    ck_assert_str_eq(fields_say(&fields), "- 5 1 0 b c");
    ck_assert_ptr_null(option_variable_find(&rows[0].option, "P_", environment, name));
    ck_assert_str_eq(name, "P_NAME");
    option_row_help(&rows[1], line);
    ck_assert_str_eq(line, "  --count N                             how many [4]");
    option_row_help(&rows[3], line);
    ck_assert_str_eq(line, "  --all                                 every one");
}
END_TEST

START_TEST(a_list_is_bounded) {
    struct fields fields = {0};
    for (int i = 0; i < TEXT_LIST_MAX; i++) {
        ck_assert(option_row_set(&rows[4], &fields, "h", "host", false, fault));
    }
    ck_assert(!option_row_set(&rows[4], &fields, "h", "host", false, fault));
    ck_assert_str_eq(fault, "host takes at most 64 entries");
    option_rows_release(rows, &fields);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("options");
    TCase *tests = tcase_create("options");
    tcase_add_test(tests, values_are_read_by_their_type);
    tcase_add_test(tests, faults_name_the_constraint);
    tcase_add_test(tests, words_are_long_or_letters);
    tcase_add_test(tests, lines_of_files_are_read_as_most_programs_do);
    tcase_add_test(tests, lists_and_variables);
    tcase_add_test(tests, rows_fill_a_struct_from_words);
    tcase_add_test(tests, rows_take_variables_and_describe_themselves);
    tcase_add_test(tests, a_list_is_bounded);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
