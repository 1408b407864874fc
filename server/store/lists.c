/*
 * Lists: pages of jobs and experiments that fit a search (api/search.h), and the saved views. See store.h.
 *
 * One scan does it: rows come newest first, from the index of an exact value that the search asks for, or else by their
 * numbers; each is compared with the whole search here. So a page looks at no more rows than it is allowed to, and its
 * cursor is the last row that it looked at. Used in lanes, by the owner of the reader.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/search.h"
#include "server/store/columns.h"
#include "server/store/reader.h"

#define STOP_ROWS 256          /* between two looks at the stop word */
#define ID_CHARACTERS 36       /* of a whole id */
#define ID_CHARACTERS_LEAST 13 /* of a beginning that few ids have: a millisecond */

enum list {
    LIST_JOBS,
    LIST_IDS,
    LIST_ID_RANGE,
    LIST_NAME,
    LIST_TAG,
    LIST_EXPERIMENT,
    LIST_SEED,
    LIST_STATUS,
    LIST_RULE,
    LIST_TASK,
    LIST_EXPERIMENTS,
    LIST_VIEWS,
    LIST_VIEW,
    LISTS
};

_Static_assert(LISTS <= READER_LISTS, "room for the statements");

/* ?1: numbers below it; ?2, ?3: the value. */
static const char *const list_text[LISTS] = {
    [LIST_JOBS] = "SELECT {jobs} FROM jobs WHERE number<?1 ORDER BY number DESC",
    [LIST_IDS] =
        "SELECT {jobs} FROM jobs WHERE number<?1 AND id IN (SELECT value FROM json_each(?2)) ORDER BY number DESC",
    [LIST_ID_RANGE] = "SELECT {jobs} FROM jobs WHERE number<?1 AND id>=?2 AND id<?3 ORDER BY number DESC",
    [LIST_NAME] =
        "SELECT {jobs} FROM jobs WHERE number<?1 AND name<>'' AND name=?2 COLLATE NOCASE ORDER BY number DESC",
    [LIST_TAG] = "SELECT {jobs} FROM job_tags CROSS JOIN jobs ON number=job WHERE tag=?2 AND job<?1 ORDER BY job DESC",
    [LIST_EXPERIMENT] = "SELECT {jobs} FROM jobs WHERE number<?1 AND experiment<>'' AND experiment=?2 COLLATE NOCASE "
                        "ORDER BY number DESC",
    [LIST_SEED] = "SELECT {jobs} FROM jobs WHERE number<?1 AND seed=?2 ORDER BY number DESC",
    [LIST_STATUS] = "SELECT {jobs} FROM jobs WHERE number<?1 AND status=?2 ORDER BY number DESC",
    [LIST_RULE] = "SELECT {jobs} FROM jobs WHERE number<?1 AND rule=?2 ORDER BY number DESC",
    [LIST_TASK] = "SELECT {jobs} FROM jobs WHERE number<?1 AND task=?2 ORDER BY number DESC",
    [LIST_EXPERIMENTS] = "SELECT {experiments} FROM experiments WHERE number<?1 AND state<>4 ORDER BY number DESC",
    [LIST_VIEWS] = "SELECT {views} FROM views ORDER BY name",
    [LIST_VIEW] = "SELECT {views} FROM views WHERE name=?1",
};

static sqlite3_stmt *list_begin(struct store_reader *reader, enum list list) {
    sqlite3_stmt **statement = &reader->lists[list];
    if (*statement == NULL && columns_prepare(reader->database, list_text[list], statement) != SQLITE_OK) {
        return NULL;
    }
    return *statement;
}

/* ---- what a row has ---- */

struct row {
    const struct store_job *job;
    const struct store_experiment *experiment;
    json_t *document, *tags; /* once they were needed */
    const char *section;     /* the document is this member alone of it; NULL: all */
};

static void row_release(struct row *row) {
    json_decref(row->document);
    json_decref(row->tags);
}

static void number_give(struct search_datum *datum, double number) {
    datum->type = isnan(number) ? DATUM_NONE : DATUM_NUMBER;
    datum->number = number;
}

static void time_give(struct search_datum *datum, int64_t time) {
    number_give(datum, time == 0 ? NAN : (double)time);
}

static void text_give(struct search_datum *datum, const char *text) {
    datum->type = text == NULL || *text == '\0' ? DATUM_NONE : DATUM_TEXT;
    datum->text = text;
}

static const json_t *parsed(json_t **kept, const char *text) {
    *kept = *kept == NULL ? json_loads(text, 0, NULL) : *kept;
    return *kept;
}

/* Whether a text of our own writing may have a member of this name: quotes within strings are escaped. */
static bool may_have(const char *text, const char *name) {
    char key[128];
    bool plain = name[strcspn(name, "\"\\")] == '\0';
    for (const char *c = name; plain && *c != '\0'; c++) {
        plain = *c >= 0x20 && *c < 0x7f;
    }
    return !plain || snprintf(key, sizeof key, "\"%s\":", name) >= (int)sizeof key || strstr(text, key) != NULL;
}

/*
 * The section of a job's document that the term asks about, as {section: ...}: it is found in the text and read alone,
 * since a list looks at thousands of rows. The metadata come before all other objects and may hold any names, so theirs
 * is the first of this name and each other section the last.
 */
static json_t *section_read(const char *text, const char *section) {
    char key[32];
    const char *at = NULL;
    snprintf(key, sizeof key, "\"%s\":{", section);
    for (const char *next = strstr(text, key); next != NULL; next = strstr(next + 1, key)) {
        at = next;
        if (strcmp(section, "metadata") == 0) {
            break;
        }
    }
    json_t *value = at == NULL ? NULL : json_loads(at + strlen(key) - 1, JSON_DISABLE_EOF_CHECK, NULL);
    json_t *document = value == NULL ? NULL : json_pack("{s:o}", section, value);
    return document == NULL ? json_loads(text, 0, NULL) : document;
}

static const json_t *job_member(struct row *row, const struct search_term *term) {
    const char *text = row->job->brief;
    if (!may_have(text, term->path[term->depth - 1])) {
        return NULL;
    }
    if (row->section == NULL || strcmp(row->section, term->path[0]) != 0) {
        json_decref(row->document);
        row->section = term->path[0];
        row->document = section_read(text, row->section);
    }
    return search_member(term, row->document);
}

static void json_give(struct search_datum *datum, const json_t *json) {
    datum->type = json == NULL ? DATUM_NONE : DATUM_JSON;
    datum->json = json;
}

static void job_text_give(const struct store_job *job, enum search_key key, struct search_datum *datum) {
    const char *text = key == SEARCH_WORD         ? (*job->name != '\0' ? job->name : job->task)
                       : key == SEARCH_NAME       ? job->name
                       : key == SEARCH_NOTES      ? job->notes
                       : key == SEARCH_ID         ? job->id
                       : key == SEARCH_STATUS     ? job_status_name(job->status)
                       : key == SEARCH_TASK       ? job->task
                       : key == SEARCH_RULE       ? job->rule
                       : key == SEARCH_POINT      ? job->point
                       : key == SEARCH_OWNER      ? job->owner
                       : key == SEARCH_ERROR      ? job->error_code
                       : key == SEARCH_CONFIG     ? job->digest
                       : key == SEARCH_DATA       ? job->dataset_sha256
                       : key == SEARCH_BUILD      ? job->build
                       : key == SEARCH_EXPERIMENT ? job->experiment
                                                  : NULL;
    text_give(datum, text);
}

static bool job_number_give(const struct store_job *job, enum search_key key, struct search_datum *datum) {
    switch (key) {
    case SEARCH_SEED:
        number_give(datum, (double)job->seed);
        return true;
    case SEARCH_PRIORITY:
        number_give(datum, job->priority);
        return true;
    case SEARCH_LOSS:
        number_give(datum, job->loss);
        return true;
    case SEARCH_ACCURACY:
        number_give(datum, job->accuracy);
        return true;
    case SEARCH_ITERATION:
        number_give(datum, (double)job->progressed);
        return true;
    case SEARCH_ITERATIONS:
        number_give(datum, (double)job->iterations);
        return true;
    case SEARCH_ATTEMPT:
        number_give(datum, job->attempt);
        return true;
    case SEARCH_SECONDS:
        number_give(datum, job->trained);
        return true;
    default:
        return false;
    }
}

static void job_read(void *user, const struct search_term *term, struct search_datum *datum) {
    struct row *row = user;
    const struct store_job *job = row->job;
    if (job_number_give(job, term->key, datum)) {
        return;
    }
    switch (term->key) {
    case SEARCH_TAG:
        json_give(datum, parsed(&row->tags, job->tags));
        break;
    case SEARCH_MEMBER:
        json_give(datum, job_member(row, term));
        break;
    case SEARCH_OUTCOME:
        text_give(datum, job->status == JOB_SUCCEEDED ? outcome_name(job->loss, job->initial_loss) : NULL);
        break;
    case SEARCH_CREATED:
        time_give(datum, job->created);
        break;
    case SEARCH_STARTED:
        time_give(datum, job->started);
        break;
    case SEARCH_FINISHED:
        time_give(datum, job->finished);
        break;
    default:
        job_text_give(job, term->key, datum);
    }
}

static const json_t *base_member(struct row *row, const char *section, const char *member) {
    const json_t *base = json_object_get(parsed(&row->document, row->experiment->document), "base");
    return json_object_get(json_object_get(base, section), member);
}

static void experiment_read(void *user, const struct search_term *term, struct search_datum *datum) {
    struct row *row = user;
    const struct store_experiment *experiment = row->experiment;
    switch (term->key) {
    case SEARCH_WORD:
    case SEARCH_NAME:
        text_give(datum, experiment->name);
        break;
    case SEARCH_NOTES:
        text_give(datum, experiment->notes);
        break;
    case SEARCH_TAG:
        json_give(datum, parsed(&row->tags, experiment->tags));
        break;
    case SEARCH_ID:
        text_give(datum, experiment->id);
        break;
    case SEARCH_STATUS:
        text_give(datum, experiment_state_name(experiment->state));
        break;
    case SEARCH_OWNER:
        text_give(datum, experiment->owner);
        break;
    case SEARCH_CREATED:
        time_give(datum, experiment->created);
        break;
    case SEARCH_FINISHED:
        time_give(datum, experiment->finished);
        break;
    case SEARCH_POINTS:
        number_give(datum, (double)experiment->points);
        break;
    case SEARCH_TRIALS:
        number_give(datum, (double)experiment->trials);
        break;
    case SEARCH_TASK:
    case SEARCH_RULE:
        json_give(datum, base_member(row, term->key == SEARCH_TASK ? "task" : "rule", "type"));
        break;
    case SEARCH_MEMBER:
        json_give(datum, search_member(term, json_object_get(parsed(&row->document, experiment->document), "base")));
        break;
    default:
        break;
    }
}

/* ---- which rows ---- */

/* The term's only value; NULL if there are more. */
static const struct search_value *only(const struct search_term *term) {
    return term != NULL && term->count == 1 ? &term->values[0] : NULL;
}

static bool status_of(const struct search *search, enum job_status *status) {
    const struct search_value *value = only(search_exact(search, SEARCH_STATUS));
    return value != NULL && job_status_find(value->text, status);
}

static void lower_copy(char *to, const char *text) {
    for (; *text != '\0'; text++) {
        *to++ = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
    }
    *to = '\0';
}

static bool bind_copy(sqlite3_stmt *s, int at, const char *text) {
    return sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT) == SQLITE_OK;
}

/* Whole ids, or one beginning that only few have. NULL: neither. */
static sqlite3_stmt *ids_begin(struct store_reader *reader, const struct search_term *term) {
    char text[SEARCH_BYTES];
    bool whole = true;
    for (size_t i = 0; i < term->count; i++) {
        whole = whole && strlen(term->values[i].text) == ID_CHARACTERS;
    }
    size_t length = strlen(term->values[0].text);
    bool begins = !whole && term->count == 1 && length >= ID_CHARACTERS_LEAST && length < ID_CHARACTERS;
    sqlite3_stmt *s = whole || begins ? list_begin(reader, whole ? LIST_IDS : LIST_ID_RANGE) : NULL;
    if (s == NULL) {
        return NULL;
    }
    if (begins) {
        lower_copy(text, term->values[0].text);
        bind_copy(s, 2, text);
        text[length - 1]++;
        bind_copy(s, 3, text);
        return s;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < term->count; i++) {
        lower_copy(text, term->values[i].text);
        json_array_append_new(list, json_string(text));
    }
    char *ids = json_dumps(list, JSON_COMPACT);
    bind_copy(s, 2, ids == NULL ? "[]" : ids);
    json_decref(list);
    free(ids);
    return s;
}

/* The rows that have an exact text. */
static sqlite3_stmt *text_begin_list(struct store_reader *reader, const struct search *search, enum search_key key,
                                     enum list list) {
    const struct search_value *value = only(search_exact(search, key));
    sqlite3_stmt *s = value == NULL || *value->text == '\0' ? NULL : list_begin(reader, list);
    if (s != NULL) {
        bind_copy(s, 2, value->text);
    }
    return s;
}

/* By the value that the fewest rows may be expected to have; without one, all rows. */
static sqlite3_stmt *jobs_begin(struct store_reader *reader, const struct search *search) {
    const struct search_term *ids = search_exact(search, SEARCH_ID);
    const struct search_value *seed = only(search_exact(search, SEARCH_SEED));
    enum job_status status = JOB_QUEUED;
    bool by_status = status_of(search, &status);
    sqlite3_stmt *s = ids == NULL ? NULL : ids_begin(reader, ids);
    static const struct {
        enum search_key key;
        enum list list;
    } narrow[] = {{SEARCH_NAME, LIST_NAME}, {SEARCH_TAG, LIST_TAG}, {SEARCH_EXPERIMENT, LIST_EXPERIMENT}},
      wide[] = {{SEARCH_RULE, LIST_RULE}, {SEARCH_TASK, LIST_TASK}};
    for (size_t i = 0; s == NULL && i < sizeof narrow / sizeof *narrow; i++) {
        s = text_begin_list(reader, search, narrow[i].key, narrow[i].list);
    }
    if (s == NULL && seed != NULL && (s = list_begin(reader, LIST_SEED)) != NULL) {
        sqlite3_bind_double(s, 2, seed->low);
    }
    if (s == NULL && by_status && status != JOB_SUCCEEDED && (s = list_begin(reader, LIST_STATUS)) != NULL) {
        sqlite3_bind_int(s, 2, (int)status);
    }
    for (size_t i = 0; s == NULL && i < sizeof wide / sizeof *wide; i++) {
        s = text_begin_list(reader, search, wide[i].key, wide[i].list);
    }
    if (s == NULL && by_status && (s = list_begin(reader, LIST_STATUS)) != NULL) {
        sqlite3_bind_int(s, 2, (int)status);
    }
    return s == NULL ? list_begin(reader, LIST_JOBS) : s;
}

/* ---- the scan ---- */

struct scan {
    const struct store_page *page;
    struct store_found *found;
    void *user;
    int count;
    bool (*job)(void *user, const struct store_job *job); /* NULL: experiments */
    bool (*experiment)(void *user, const struct store_experiment *experiment);
};

/* One row: 1 go on, 0 the caller has had enough, -1 failure. */
static int scan_row(struct scan *scan, sqlite3_stmt *s) {
    struct store_job job;
    struct store_experiment experiment;
    struct row row = {.job = &job, .experiment = &experiment};
    bool jobs = scan->job != NULL, go_on = true;
    if (jobs ? !job_fill(s, &job, true) : !experiment_fill(s, &experiment, true)) {
        return -1;
    }
    scan->found->scanned++;
    scan->found->next = jobs ? job.number : experiment.number;
    if (search_fits(scan->page->search, jobs ? job_read : experiment_read, &row)) {
        scan->count++;
        go_on = jobs ? scan->job(scan->user, &job) : scan->experiment(scan->user, &experiment);
    }
    row_release(&row);
    return go_on;
}

static int scan_run(struct scan *scan, sqlite3_stmt *s) {
    const struct store_page *page = scan->page;
    struct store_found *found = scan->found;
    int step = SQLITE_ROW, go_on = 1;
    *found = (struct store_found){0};
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int64(s, 1, page->before);
    while (go_on == 1 && scan->count < page->limit && found->scanned < STORE_SCAN_MOST &&
           (step = sqlite3_step(s)) == SQLITE_ROW) {
        go_on = scan_row(scan, s);
        if (found->scanned % STOP_ROWS == 0 && page->stopped != NULL && page->stopped(scan->user)) {
            go_on = 0;
        }
    }
    query_end(s);
    found->bounded = step == SQLITE_ROW && scan->count < page->limit && found->scanned == STORE_SCAN_MOST;
    found->next = step == SQLITE_DONE ? 0 : found->next;
    return go_on < 0 || (step != SQLITE_ROW && step != SQLITE_DONE) ? -1 : scan->count;
}

int store_jobs_find(struct store_reader *reader, const struct store_page *page, struct store_found *found,
                    bool (*each)(void *user, const struct store_job *job), void *user) {
    struct scan scan = {.page = page, .found = found, .user = user, .job = each};
    return scan_run(&scan, jobs_begin(reader, page->search));
}

int store_experiments_find(struct store_reader *reader, const struct store_page *page, struct store_found *found,
                           bool (*each)(void *user, const struct store_experiment *experiment), void *user) {
    struct scan scan = {.page = page, .found = found, .user = user, .experiment = each};
    return scan_run(&scan, list_begin(reader, LIST_EXPERIMENTS));
}

/* ---- views ---- */

int store_view_read(struct store_reader *reader, const char *name, struct store_view *view) {
    sqlite3_stmt *s = list_begin(reader, LIST_VIEW);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    *view = (struct store_view){0};
    if (found == 1 && !record_read(s, &record_views, view, false)) {
        store_view_release(view);
        found = -1;
    }
    query_end(s);
    return found;
}

int store_views_list(struct store_reader *reader, bool (*each)(void *user, const struct store_view *view), void *user) {
    sqlite3_stmt *s = list_begin(reader, LIST_VIEWS);
    int count = 0, step = s == NULL ? SQLITE_ERROR : SQLITE_ROW;
    while (step == SQLITE_ROW && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_view view = {0};
        bool whole = record_read(s, &record_views, &view, true) && view.document != NULL;
        count++;
        step = !whole ? SQLITE_NOMEM : each(user, &view) ? SQLITE_ROW : SQLITE_DONE;
    }
    if (s != NULL) {
        query_end(s);
    }
    return step == SQLITE_DONE ? count : -1;
}
