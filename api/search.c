/*
 * Reading searches and fitting them: see search.h. One pass over the text; names and values are copied, decoded, into
 * the search's own room, which is large enough for any query of SEARCH_BYTES.
 */
#include "api/search.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/job.h"
#include "api/parameters.h"
#include "core/base/options.h"
#include "core/tasks/task.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define JOBS (1u << SEARCH_JOBS)
#define EXPERIMENTS (1u << SEARCH_EXPERIMENTS)
#define BLANKS " \t\n\r"
#define OPERATORS ":=!<>"
#define FAULT_BYTES 320
#define CHOICES_MOST 64
#define CHOICES_BYTES 128

const struct search_field search_fields[] = {
    {"name", SEARCH_NAME, SEARCH_TEXT, JOBS | EXPERIMENTS, NULL, "the name"},
    {"notes", SEARCH_NOTES, SEARCH_TEXT, JOBS | EXPERIMENTS, NULL, "the notes"},
    {"tag", SEARCH_TAG, SEARCH_TEXT, JOBS | EXPERIMENTS, NULL, "any of the tags"},
    {"id", SEARCH_ID, SEARCH_BEGINNING, JOBS | EXPERIMENTS, NULL, "the id, or how it begins"},
    {"status", SEARCH_STATUS, SEARCH_CHOICE, JOBS,
     "queued|running|pausing|paused|cancelling|succeeded|failed|cancelled|active", "the state; active: has not ended"},
    {"status", SEARCH_STATUS, SEARCH_CHOICE, EXPERIMENTS,
     "running|paused|cancelling|complete|complete_with_failures|cancelled|active", "the state; active: has not ended"},
    {"outcome", SEARCH_OUTCOME, SEARCH_CHOICE, JOBS, "trained|diverged", "how a job that succeeded ended"},
    {"task", SEARCH_TASK, SEARCH_CHOICE, JOBS | EXPERIMENTS, NULL, "the task's type; of an experiment, its base's"},
    {"rule", SEARCH_RULE, SEARCH_CHOICE, JOBS | EXPERIMENTS, NULL, "the rule's type; of an experiment, its base's"},
    {"seed", SEARCH_SEED, SEARCH_NUMBER, JOBS, NULL, "the seed"},
    {"experiment", SEARCH_EXPERIMENT, SEARCH_TEXT, JOBS, NULL,
     "the id of the experiment that made it, or metadata.experiment"},
    {"point", SEARCH_POINT, SEARCH_TEXT, JOBS, NULL, "the point of that experiment"},
    {"owner", SEARCH_OWNER, SEARCH_TEXT, JOBS | EXPERIMENTS, NULL,
     "the token that submitted it, or without tokens the client's address"},
    {"priority", SEARCH_PRIORITY, SEARCH_NUMBER, JOBS, NULL, "the priority"},
    {"loss", SEARCH_LOSS, SEARCH_NUMBER, JOBS, NULL, "the loss of the newest evaluation"},
    {"accuracy", SEARCH_ACCURACY, SEARCH_NUMBER, JOBS, NULL, "the accuracy of the newest evaluation, from 0 to 1"},
    {"iteration", SEARCH_ITERATION, SEARCH_NUMBER, JOBS, NULL, "how far it has come"},
    {"iterations", SEARCH_ITERATIONS, SEARCH_NUMBER, JOBS, NULL, "how many were asked for"},
    {"attempt", SEARCH_ATTEMPT, SEARCH_NUMBER, JOBS, NULL, "how often it was started"},
    {"seconds", SEARCH_SECONDS, SEARCH_NUMBER, JOBS, NULL, "seconds of training"},
    {"created", SEARCH_CREATED, SEARCH_TIME, JOBS | EXPERIMENTS, NULL, "when it was submitted (UTC)"},
    {"started", SEARCH_STARTED, SEARCH_TIME, JOBS, NULL, "when it was started first"},
    {"finished", SEARCH_FINISHED, SEARCH_TIME, JOBS | EXPERIMENTS, NULL, "when it ended"},
    {"error", SEARCH_ERROR, SEARCH_TEXT, JOBS, NULL, "the code of its failure"},
    {"config", SEARCH_CONFIG, SEARCH_BEGINNING, JOBS, NULL, "config_sha256, or how it begins"},
    {"data", SEARCH_DATA, SEARCH_BEGINNING, JOBS, NULL, "dataset_sha256, or how it begins"},
    {"build", SEARCH_BUILD, SEARCH_TEXT, JOBS, NULL, "the build of the last attempt"},
    {"points", SEARCH_POINTS, SEARCH_NUMBER, EXPERIMENTS, NULL, "how many points it has"},
    {"trials", SEARCH_TRIALS, SEARCH_NUMBER, EXPERIMENTS, NULL, "how many trials it has"},
};

const size_t search_field_count = COUNT(search_fields);

/* Members with a short name; they are in the list of fields of neither kind but of both. */
static const struct {
    const char *name, *section, *member;
    enum search_type type;
} shorts[] = {{"units", "network", "units", SEARCH_NUMBER}, {"dataset", "task", "name", SEARCH_TEXT}};

static const char *const sections[] = {"task", "network", "rule", "optimizer", "training", "metadata", "meta"};

struct reading {
    struct search *search;
    enum search_kind kind;
    const char *query, *at; /* query NULL: one value, which has no position */
    const char *parameter;
    struct problems *problems;
};

/* ---- faults ---- */

/* Characters before `at`, and one: how a user counts. */
static size_t position_of(const struct reading *reading, const char *at) {
    size_t position = 1;
    for (const char *c = reading->query; c < at; c++) {
        position += ((unsigned char)*c & 0xc0) != 0x80;
    }
    return position;
}

static void fault(const struct reading *reading, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fault(const struct reading *reading, const char *at, const char *format, ...) {
    char text[FAULT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (reading->query == NULL) {
        problems_add(reading->problems, NULL, reading->parameter, "%s", text);
    } else {
        problems_add(reading->problems, NULL, reading->parameter, "at character %zu: %s", position_of(reading, at),
                     text);
    }
}

void search_names(enum search_kind kind, char *text, size_t room) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < search_field_count && used < room; i++) {
        if ((search_fields[i].kinds & 1u << kind) != 0) {
            used += (size_t)snprintf(text + used, room - used, "%s%s", used == 0 ? "" : ", ", search_fields[i].name);
        }
    }
}

/* ---- characters ---- */

static bool is_blank(char c) {
    return c != '\0' && strchr(BLANKS, c) != NULL;
}

static bool is_name_first(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(char c) {
    return is_name_first(c) || (c >= '0' && c <= '9') || c == '-';
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char *room_begin(struct search *search) {
    return search->texts + search->used;
}

static const char *room_end(struct search *search, const char *end) {
    const char *text = room_begin(search);
    search->used = (size_t)(end - search->texts) + 1;
    return text;
}

/* What stands within quotes, of which `at` is the first; returns the position after them. NULL: they do not end. */
static const char *quoted_take(const char *at, char **to) {
    for (at++; *at != '"'; at++) {
        at += *at == '\\' && (at[1] == '"' || at[1] == '\\');
        if (*at == '\0') {
            return NULL;
        }
        *(*to)++ = *at;
    }
    return at + 1;
}

/* ---- values ---- */

static bool number_take(const char *text, size_t length, double *number) {
    char copy[64], *end;
    if (length == 0 || length >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (copy[strspn(copy, "0123456789.eE+-")] != '\0') {
        return false; /* strtod knows more than JSON */
    }
    *number = strtod(copy, &end);
    return *end == '\0' && isfinite(*number);
}

/* `count` digits; -1: there are none. */
static int digits_take(const char **at, const char *end, int count) {
    int number = 0;
    for (int i = 0; i < count; i++, ++*at) {
        if (*at >= end || **at < '0' || **at > '9') {
            return -1;
        }
        number = 10 * number + (**at - '0');
    }
    return number;
}

static double milliseconds_of(const struct tm *at) {
    struct tm copy = *at;
    return 1000.0 * (double)timegm(&copy);
}

/* timegm makes 2 March of 30 February. */
static bool has_day(const struct tm *at) {
    struct tm copy = *at;
    return timegm(&copy) != (time_t)-1 && copy.tm_mday == at->tm_mday;
}

/* A date, or a part of one, as what it spans: 2026, 2026-11, 2026-11-28, 2026-11-28T09, ...:30, ...:30:15, with Z. */
static bool time_take(const char *text, size_t length, double *low, double *high) {
    static const char before[] = "--T::";
    static const int least[] = {1, 1, 0, 0, 0}, most[] = {12, 31, 23, 59, 59};
    const char *at = text, *end = text + length - (length > 0 && text[length - 1] == 'Z');
    struct tm time = {.tm_mday = 1};
    int *const parts[] = {&time.tm_mon, &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec};
    int *last = &time.tm_year, year = digits_take(&at, end, 4);
    time.tm_year = year - 1900;
    for (size_t i = 0; year >= 0 && at < end && i < COUNT(parts); i++) {
        char separator = *at++;
        *parts[i] = digits_take(&at, end, 2);
        if (separator != before[i] || *parts[i] < least[i] || *parts[i] > most[i]) {
            return false;
        }
        last = parts[i];
        time.tm_mon -= i == 0;
    }
    if (year < 0 || at != end || !has_day(&time)) {
        return false;
    }
    *low = milliseconds_of(&time);
    ++*last;
    *high = milliseconds_of(&time) - 1;
    return true;
}

static bool bound_take(enum search_type type, const char *text, size_t length, double *low, double *high) {
    if (type == SEARCH_TIME) {
        return time_take(text, length, low, high);
    }
    bool taken = number_take(text, length, low);
    *high = *low;
    return taken;
}

/* A number, a time, or a range of these. */
static void value_number(struct search_value *value, enum search_type type) {
    const char *text = value->text, *dots = strstr(text, "..");
    double ignored;
    size_t length = strlen(text);
    if (dots == NULL) {
        value->is_number = bound_take(type, text, length, &value->low, &value->high);
        return;
    }
    size_t left = (size_t)(dots - text), right = length - left - 2;
    value->low = -INFINITY;
    value->high = INFINITY;
    value->is_range = true;
    value->is_number = left + right > 0 && (left == 0 || bound_take(type, text, left, &value->low, &ignored)) &&
                       (right == 0 || bound_take(type, dots + 2, right, &ignored, &value->high));
}

/* Takes one value up to a comma or a blank. False after a fault. */
static bool value_take(struct reading *reading, enum search_type type) {
    struct search *search = reading->search;
    const char *from = reading->at;
    char *to = room_begin(search);
    bool quoted = false;
    if (search->value_count == SEARCH_VALUES) {
        fault(reading, from, "a query has at most %d values", SEARCH_VALUES);
        return false;
    }
    struct search_value *value = &search->values[search->value_count++];
    *value = (struct search_value){0};
    while (*reading->at != '\0' && *reading->at != ',' && !is_blank(*reading->at)) {
        if (*reading->at == '"') {
            const char *quotes = reading->at;
            quoted = true;
            reading->at = quoted_take(reading->at, &to);
            if (reading->at == NULL) {
                fault(reading, quotes, "the quotes have no end");
                return false;
            }
        } else {
            value->has_star = value->has_star || *reading->at == '*';
            *to++ = *reading->at == '*' ? SEARCH_STAR : *reading->at;
            reading->at++;
        }
    }
    *to = '\0';
    value->text = room_end(search, to);
    if (reading->at == from) {
        fault(reading, from, "a value must stand here");
        return false;
    }
    value->is_none = !quoted && strcmp(value->text, "none") == 0;
    if (!quoted && !value->has_star) {
        value_number(value, type);
    }
    return true;
}

static bool text_fits(const char *pattern, const char *text);

/* The choices of a field, some of them in `room`. Returns how many. */
static size_t choices_of(const struct search_term *term, const char *listed, const char *names[CHOICES_MOST],
                         char room[CHOICES_BYTES]) {
    size_t count = 0;
    if (term->key == SEARCH_TASK) {
        for (int i = 0; i < task_count && count < CHOICES_MOST; i++) {
            names[count++] = task_type_name((enum task_type)i);
        }
    } else if (term->key == SEARCH_RULE) {
        for (int i = 0; i < RULE_TYPES; i++) {
            names[count++] = rule_type_name((enum rule_type)i);
        }
    } else {
        snprintf(room, CHOICES_BYTES, "%s", listed);
        for (char *rest = room, *name; (name = strsep(&rest, "|")) != NULL;) {
            names[count++] = name;
        }
    }
    return count;
}

static void fault_choice(const struct reading *reading, const char *at, const char *field, const char *value,
                         const char *const *names, size_t count) {
    char list[FAULT_BYTES - 100] = "";
    const char *nearest = name_nearest(value, names, count);
    for (size_t i = 0, used = 0; i < count && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    if (nearest != NULL) {
        fault(reading, at, "\"%.40s\" is no %s; did you mean \"%s\"?", value, field, nearest);
    } else {
        bool named = reading->query == NULL; /* the fault's pointer says which field */
        fault(reading, at, "%s%smust be one of %s; got \"%.40s\"", named ? "" : field, named ? "" : " ", list, value);
    }
}

/* The value becomes the choice in its own letters; a pattern must fit one of them. */
static bool value_choose(const struct reading *reading, const char *at, const struct search_term *term,
                         const struct search_field *field, struct search_value *value) {
    const char *names[CHOICES_MOST];
    char room[CHOICES_BYTES];
    size_t count = choices_of(term, field->choices, names, room);
    for (size_t i = 0; i < count; i++) {
        if (text_fits(value->text, names[i])) {
            char *text = reading->search->texts + (value->text - reading->search->texts);
            for (; !value->has_star && *text != '\0'; text++) {
                *text = lower(*text); /* as the choice is written, which indexes ask for */
            }
            return true;
        }
    }
    fault_choice(reading, at, field->name, value->text, names, count);
    return false;
}

static bool value_check(const struct reading *reading, const char *at, const struct search_term *term,
                        const struct search_field *field, struct search_value *value) {
    bool any = value->has_star && value->text[0] == SEARCH_STAR && value->text[1] == '\0';
    if (term->relation != SEARCH_EQUAL && (!value->is_number || value->is_range)) {
        fault(reading, at, "after <, <=, > and >= there must be one %s", term->type == SEARCH_TIME ? "date" : "number");
    } else if (value->is_number && value->low > value->high) {
        fault(reading, at, "a range must go from its lower end to its upper end, such as 1..5");
    } else if (value->is_none || any) {
        return true;
    } else if (term->type == SEARCH_NUMBER && !value->is_number) {
        fault(reading, at,
              "%s must be a number, a range such as 1..5 (either end may be missing), or none; got \"%.40s\"",
              field == NULL ? "it" : field->name, value->text);
    } else if (term->type == SEARCH_TIME && !value->is_number) {
        fault(reading, at,
              "%s must be a date such as 2026-11-28 or 2026-11-28T09:30, a range of dates with .. between them, or "
              "none; got \"%.40s\"",
              field == NULL ? "it" : field->name, value->text);
    } else {
        return term->type != SEARCH_CHOICE || field == NULL || value_choose(reading, at, term, field, value);
    }
    return false;
}

/* All values of a term. False after a fault; then the rest of the term is skipped. */
static bool values_take(struct reading *reading, struct search_term *term, const struct search_field *field) {
    term->values = &reading->search->values[reading->search->value_count];
    bool more = true;
    while (more) {
        const char *from = reading->at;
        if (!value_take(reading, term->type)) {
            return false;
        }
        struct search_value *value = &reading->search->values[reading->search->value_count - 1];
        term->count++;
        if (!value_check(reading, from, term, field, value)) {
            return false;
        }
        more = *reading->at == ',';
        reading->at += more;
        if (more && term->relation != SEARCH_EQUAL) {
            fault(reading, reading->at, "after <, <=, > and >= there must be one value");
            return false;
        }
    }
    return true;
}

/* ---- fields ---- */

/* The names of a field, of which there may be none: then the position does not move. `depth` receives how many. */
static const char *path_take(struct reading *reading, const char *at, const char *path[SEARCH_PATH], size_t *depth) {
    struct search *search = reading->search;
    size_t before = search->used;
    *depth = 0;
    while (*depth < SEARCH_PATH) {
        char *to = room_begin(search);
        if (*at == '"' && *depth > 0) {
            at = quoted_take(at, &to);
        } else if (is_name_first(*at) || (*depth > 0 && is_name(*at))) {
            while (is_name(*at)) {
                *to++ = *at++;
            }
        } else {
            at = NULL;
        }
        if (at == NULL) {
            break;
        }
        *to = '\0';
        path[(*depth)++] = room_end(search, to);
        if (*at != '.') {
            return at;
        }
        at++;
    }
    search->used = before;
    *depth = 0;
    return NULL;
}

static const char *operator_take(const char *at, enum search_relation *relation, bool *negated) {
    bool with_equal = at[0] != '\0' && at[1] == '=';
    switch (*at) {
    case ':':
    case '=':
        *relation = SEARCH_EQUAL;
        return at + 1;
    case '!':
        *relation = SEARCH_EQUAL;
        *negated = !*negated;
        return with_equal ? at + 2 : NULL;
    case '<':
        *relation = with_equal ? SEARCH_MOST : SEARCH_LESS;
        return at + 1 + with_equal;
    case '>':
        *relation = with_equal ? SEARCH_LEAST : SEARCH_GREATER;
        return at + 1 + with_equal;
    default:
        return NULL;
    }
}

static void fault_field(const struct reading *reading, const char *at, const char *name) {
    const char *known[COUNT(search_fields) + COUNT(shorts) + COUNT(sections)];
    char list[FAULT_BYTES - 80];
    size_t count = 0;
    for (size_t i = 0; i < search_field_count; i++) {
        if ((search_fields[i].kinds & 1u << reading->kind) != 0) {
            known[count++] = search_fields[i].name;
        }
    }
    for (size_t i = 0; i < COUNT(shorts); i++) {
        known[count++] = shorts[i].name;
    }
    const char *nearest = name_nearest(name, known, count);
    search_names(reading->kind, list, sizeof list);
    if (nearest != NULL) {
        fault(reading, at, "there is no field \"%.60s\"; did you mean \"%s\"?", name, nearest);
    } else {
        fault(reading, at, "there is no field \"%.60s\"; fields are %s", name, list);
    }
}

static const struct fields *fields_of(const char *section) {
    return strcmp(section, "task") == 0        ? task_fields()
           : strcmp(section, "network") == 0   ? network_fields()
           : strcmp(section, "rule") == 0      ? rule_fields()
           : strcmp(section, "optimizer") == 0 ? &optimizer_fields
           : strcmp(section, "training") == 0  ? &training_fields
                                               : NULL;
}

/* A member of a section; that of the metadata may be any. False after a fault. */
static bool member_resolve(const struct reading *reading, const char *at, struct search_term *term) {
    const char *section = term->path[0];
    bool known = false;
    for (size_t i = 0; i < COUNT(sections); i++) {
        known = known || strcmp(section, sections[i]) == 0;
    }
    if (!known) {
        const char *nearest = name_nearest(section, sections, COUNT(sections));
        fault(reading, at,
              "\"%.60s\" is no part of a job: these are task, network, rule, optimizer, training and meta%s%s%s",
              section, nearest == NULL ? "" : "; did you mean \"", nearest == NULL ? "" : nearest,
              nearest == NULL ? "" : "\"?");
        return false;
    }
    term->path[0] = strcmp(section, "meta") == 0 ? "metadata" : section;
    const struct fields *fields = fields_of(section);
    bool found = fields == NULL || strcmp(term->path[1], "type") == 0 ||
                 field_find(fields, ANY_VARIANT, term->path[1]) != NULL;
    if (!found) {
        const char *nearest = name_nearest_in(term->path[1], fields->items, sizeof *fields->items, fields->count);
        fault(reading, at, "%s has no parameter \"%.60s\"%s%s%s", section, term->path[1],
              nearest == NULL ? "" : "; did you mean \"", nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
    }
    return found;
}

/* What the term's path names. False after a fault. *field: NULL for a member. */
static bool field_resolve(const struct reading *reading, const char *at, struct search_term *term,
                          const struct search_field **field) {
    *field = NULL;
    term->key = SEARCH_MEMBER;
    term->type = SEARCH_ANY;
    if (term->depth > 1) {
        return member_resolve(reading, at, term);
    }
    for (size_t i = 0; i < search_field_count; i++) {
        if ((search_fields[i].kinds & 1u << reading->kind) != 0 && strcmp(search_fields[i].name, term->path[0]) == 0) {
            *field = &search_fields[i];
            term->key = (*field)->key;
            term->type = (*field)->type;
            return true;
        }
    }
    for (size_t i = 0; i < COUNT(shorts); i++) {
        if (strcmp(shorts[i].name, term->path[0]) == 0) {
            term->path[0] = shorts[i].section;
            term->path[1] = shorts[i].member;
            term->depth = 2;
            term->type = shorts[i].type;
            return true;
        }
    }
    fault_field(reading, at, term->path[0]);
    return false;
}

static bool has_order(const struct search_term *term) {
    return term->type == SEARCH_NUMBER || term->type == SEARCH_TIME || term->type == SEARCH_ANY;
}

/* ---- terms ---- */

static bool word_take(struct reading *reading, struct search_term *term) {
    struct search *search = reading->search;
    char *to = room_begin(search);
    *to++ = SEARCH_STAR;
    while (*reading->at != '\0' && !is_blank(*reading->at)) {
        if (*reading->at == '"') {
            const char *quotes = reading->at;
            reading->at = quoted_take(reading->at, &to);
            if (reading->at == NULL) {
                fault(reading, quotes, "the quotes have no end");
                return false;
            }
        } else {
            *to++ = *reading->at == '*' ? SEARCH_STAR : *reading->at;
            reading->at++;
        }
    }
    *to++ = SEARCH_STAR;
    *to = '\0';
    if (search->value_count == SEARCH_VALUES) {
        fault(reading, reading->at, "a query has at most %d values", SEARCH_VALUES);
        return false;
    }
    struct search_value *value = &search->values[search->value_count++];
    *value = (struct search_value){.text = room_end(search, to), .has_star = true};
    term->values = value;
    term->count = 1;
    return true;
}

/* False after a fault; the position is then anywhere within the term, or NULL. */
static bool term_take(struct reading *reading, struct search_term *term) {
    const struct search_field *field;
    *term = (struct search_term){.key = SEARCH_WORD};
    if (*reading->at == '-' && reading->at[1] != '\0' && !is_blank(reading->at[1])) {
        term->negated = true;
        reading->at++;
    }
    const char *from = reading->at, *after = path_take(reading, from, term->path, &term->depth);
    if (strchr(OPERATORS, *from) != NULL) {
        fault(reading, from, "before \"%c\" there must be a field, such as loss", *from);
        return false;
    }
    if (after == NULL || *after == '\0' || strchr(OPERATORS, *after) == NULL) {
        return word_take(reading, term);
    }
    const char *values = operator_take(after, &term->relation, &term->negated);
    if (values == NULL) {
        fault(reading, after, "\"!\" must be followed by \"=\"");
        return false;
    }
    if (!field_resolve(reading, from, term, &field)) {
        return false;
    }
    if (term->relation != SEARCH_EQUAL && !has_order(term)) {
        fault(reading, after, "%s has no order: after it stands :, = or !=", term->path[0]);
        return false;
    }
    reading->at = values;
    return values_take(reading, term, field);
}

/* The end of the term that `at` is in: a blank outside of quotes, as quoted_take reads them. */
static const char *term_end(const char *at) {
    bool quoted = false;
    for (; *at != '\0' && (quoted || !is_blank(*at)); at++) {
        if (quoted && *at == '\\' && (at[1] == '"' || at[1] == '\\')) {
            at++;
        } else {
            quoted = *at == '"' ? !quoted : quoted;
        }
    }
    return at;
}

static bool is_printable(const char *query) {
    for (; *query != '\0'; query++) {
        if ((unsigned char)*query < 0x20 && !is_blank(*query)) {
            return false;
        }
    }
    return true;
}

bool search_read(struct search *search, enum search_kind kind, const char *query, const char *parameter,
                 struct problems *problems) {
    struct reading reading = {search, kind, query, query, parameter, problems};
    size_t before = problems->count;
    if (strlen(query) >= SEARCH_BYTES || !is_printable(query)) {
        problems_add(problems, NULL, parameter, "must be at most %d bytes without control characters; see QUERIES.md",
                     SEARCH_BYTES - 1);
        return false;
    }
    for (reading.at += strspn(reading.at, BLANKS); *reading.at != '\0'; reading.at += strspn(reading.at, BLANKS)) {
        const char *from = reading.at;
        const size_t used = search->used, values = search->value_count;
        if (search->count == SEARCH_TERMS) {
            fault(&reading, from, "a query has at most %d terms", SEARCH_TERMS);
            break;
        }
        if (term_take(&reading, &search->terms[search->count])) {
            search->count++;
        } else { /* nothing of it is kept, so that what is kept never exceeds what was read */
            reading.at = term_end(from);
            search->used = used;
            search->value_count = values;
        }
    }
    return problems->count == before;
}

bool search_equal(struct search *search, enum search_kind kind, const char *field, const char *value,
                  struct problems *problems) {
    struct reading reading = {.search = search, .kind = kind, .parameter = field, .problems = problems};
    const struct search_field *found;
    size_t length = strlen(value);
    if (search->count == SEARCH_TERMS || search->value_count == SEARCH_VALUES ||
        search->used + length >= sizeof search->texts) {
        problems_add(problems, NULL, field, "is one term too many");
        return false;
    }
    struct search_term *term = &search->terms[search->count];
    struct search_value *one = &search->values[search->value_count];
    memcpy(room_begin(search), value, length + 1);
    *one = (struct search_value){.text = room_end(search, room_begin(search) + length)};
    *term = (struct search_term){.path = {field}, .depth = 1, .values = one, .count = 1};
    if (!field_resolve(&reading, NULL, term, &found) || !value_check(&reading, NULL, term, found, one)) {
        return false;
    }
    search->count++;
    search->value_count++;
    return true;
}

/* ---- fitting ---- */

/* A pattern with stars, without regard to case. Going back to the last star alone is enough. */
static bool text_fits(const char *pattern, const char *text) {
    const char *star = NULL, *again = NULL;
    while (*text != '\0') {
        if (*pattern == SEARCH_STAR) {
            star = ++pattern;
            again = text;
        } else if (*pattern != '\0' && lower(*pattern) == lower(*text)) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == SEARCH_STAR) {
        pattern++;
    }
    return *pattern == '\0';
}

static bool begins_with(const char *text, const char *beginning) {
    while (*beginning != '\0' && lower(*beginning) == lower(*text)) {
        beginning++;
        text++;
    }
    return *beginning == '\0';
}

static bool number_fits(enum search_relation relation, const struct search_value *value, double number) {
    switch (relation) {
    case SEARCH_EQUAL:
        return value->is_number ? number >= value->low && number <= value->high
                                : value->has_star && value->text[1] == '\0';
    case SEARCH_LESS:
        return number < value->low;
    case SEARCH_MOST:
        return number <= value->high;
    case SEARCH_GREATER:
        return number > value->high;
    case SEARCH_LEAST:
        return number >= value->low;
    }
    return false;
}

static bool value_fits(const struct search_term *term, const struct search_value *value,
                       const struct search_datum *datum);

static bool json_fits(const struct search_term *term, const struct search_value *value, const json_t *json) {
    struct search_datum datum = {.type = DATUM_TEXT};
    size_t index;
    json_t *item;
    if (json_is_number(json)) {
        datum.type = DATUM_NUMBER;
        datum.number = json_number_value(json);
    } else if (json_is_string(json)) {
        datum.text = json_string_value(json);
    } else if (json_is_boolean(json)) {
        datum.text = json_is_true(json) ? "true" : "false";
    } else if (json_is_array(json)) {
        json_array_foreach(json, index, item) {
            if (!json_is_array(item) && json_fits(term, value, item)) {
                return true;
            }
        }
        return false;
    } else {
        /* an object is there, and that is all */
        return json_is_object(json) && term->relation == SEARCH_EQUAL && value->has_star && value->text[1] == '\0';
    }
    return value_fits(term, value, &datum);
}

/* "active" is every state but these, of jobs and of experiments. */
static bool is_active(const char *status) {
    static const char *const ended[] = {"succeeded", "failed", "cancelled", "complete", "complete_with_failures"};
    for (size_t i = 0; i < COUNT(ended); i++) {
        if (strcmp(status, ended[i]) == 0) {
            return false;
        }
    }
    return true;
}

static bool text_datum_fits(const struct search_term *term, const struct search_value *value, const char *text) {
    if (term->relation != SEARCH_EQUAL) {
        return false;
    }
    if (term->key == SEARCH_STATUS && text_fits(value->text, "active") && !value->has_star) {
        return is_active(text);
    }
    return term->type == SEARCH_BEGINNING && !value->has_star ? begins_with(text, value->text)
                                                              : text_fits(value->text, text);
}

static bool value_fits(const struct search_term *term, const struct search_value *value,
                       const struct search_datum *datum) {
    switch (datum->type) {
    case DATUM_NONE:
        return value->is_none;
    case DATUM_NUMBER:
        return number_fits(term->relation, value, datum->number);
    case DATUM_TEXT:
        return text_datum_fits(term, value, datum->text);
    case DATUM_JSON:
        return json_fits(term, value, datum->json);
    }
    return false;
}

static bool is_nothing(const json_t *json) {
    return json == NULL || json_is_null(json) || (json_is_array(json) && json_array_size(json) == 0);
}

struct fitting {
    void (*read)(void *user, const struct search_term *term, struct search_datum *datum);
    void *user;
};

static bool term_fits(const struct search_term *term, const struct fitting *fitting) {
    struct search_datum datum = {.type = DATUM_NONE};
    bool fits = false;
    fitting->read(fitting->user, term, &datum);
    if (datum.type == DATUM_JSON && is_nothing(datum.json)) {
        datum.type = DATUM_NONE;
    }
    for (size_t i = 0; !fits && i < term->count; i++) {
        fits = value_fits(term, &term->values[i], &datum);
    }
    return fits != term->negated;
}

/* Members last: for them a document has to be read. */
bool search_fits(const struct search *search,
                 void (*read)(void *user, const struct search_term *term, struct search_datum *datum), void *user) {
    const struct fitting fitting = {read, user};
    for (int members = 0; members < 2; members++) {
        for (size_t i = 0; i < search->count; i++) {
            bool is_member = search->terms[i].key == SEARCH_MEMBER;
            if (is_member == (members == 1) && !term_fits(&search->terms[i], &fitting)) {
                return false;
            }
        }
    }
    return true;
}

const struct search_term *search_exact(const struct search *search, enum search_key key) {
    for (size_t i = 0; i < search->count; i++) {
        const struct search_term *term = &search->terms[i];
        bool exact = term->key == key && !term->negated && term->relation == SEARCH_EQUAL;
        for (size_t k = 0; exact && k < term->count; k++) {
            const struct search_value *value = &term->values[k];
            exact = !value->has_star && !value->is_none && (!value->is_number || value->low == value->high);
        }
        if (exact) {
            return term;
        }
    }
    return NULL;
}

const json_t *search_member(const struct search_term *term, const json_t *document) {
    for (size_t i = 0; document != NULL && i < term->depth; i++) {
        document = json_object_get(document, term->path[i]);
    }
    return document;
}
