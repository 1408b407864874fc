/* Stored columns: see columns.h. Any thread; everything here is constant. */
#include "server/store/columns.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/store/store.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define ROOM(row, member) sizeof(((struct row *)0)->member)
#define AT(row, member) .offset = offsetof(struct row, member)
#define INTEGER "INTEGER NOT NULL"
#define INTEGER_ZERO "INTEGER NOT NULL DEFAULT 0"
#define INTEGER_NONE "INTEGER NOT NULL DEFAULT -1"
#define TEXT "TEXT NOT NULL"
#define TEXT_EMPTY "TEXT NOT NULL DEFAULT ''"

enum { ADD = COLUMN_ADD | COLUMN_GET, SET = COLUMN_SET | COLUMN_GET, GET = COLUMN_GET };

/* Large texts come last: SQLite reads a row from its beginning. */
static const struct column jobs[] = {
    {"number", "INTEGER PRIMARY KEY AUTOINCREMENT", COLUMN_LONG, GET, AT(store_job, number)},
    {"id", "TEXT NOT NULL UNIQUE", COLUMN_CHARS, ADD | COLUMN_KEY, AT(store_job, id), ROOM(store_job, id)},
    {"digest", TEXT, COLUMN_CHARS, ADD, AT(store_job, digest), ROOM(store_job, digest)},
    {"name", TEXT, COLUMN_TEXT, ADD, AT(store_job, name)},
    {"task", TEXT, COLUMN_TEXT, ADD, AT(store_job, task)},
    {"rule", TEXT, COLUMN_TEXT, ADD, AT(store_job, rule)},
    {"status", INTEGER, COLUMN_INT, ADD | SET, AT(store_job, status)},
    {"priority", INTEGER, COLUMN_INT, ADD, AT(store_job, priority)},
    {"created", INTEGER, COLUMN_LONG, ADD, AT(store_job, created)},
    {"started", INTEGER_ZERO, COLUMN_LONG, SET, AT(store_job, started)},
    {"finished", INTEGER_ZERO, COLUMN_LONG, SET, AT(store_job, finished)},
    {"attempt", "INTEGER NOT NULL DEFAULT 1", COLUMN_INT, SET, AT(store_job, attempt)},
    {"iterations", INTEGER, COLUMN_LONG, ADD, AT(store_job, iterations)},
    {"iteration", INTEGER_ZERO, COLUMN_LONG, SET, AT(store_job, iteration)},
    {"loss", "REAL", COLUMN_REAL, SET, AT(store_job, loss)},
    {"accuracy", "REAL", COLUMN_REAL, SET, AT(store_job, accuracy)},
    {"trials_per_second", "REAL", COLUMN_REAL, SET, AT(store_job, trials_per_second)},
    {"error_code", "TEXT", COLUMN_TEXT, SET, AT(store_job, error_code)},
    {"error_detail", "TEXT", COLUMN_TEXT, SET, AT(store_job, error_detail)},
    {"error_iteration", INTEGER_NONE, COLUMN_LONG, SET, AT(store_job, error_iteration)},
    {"weights_sha256", TEXT_EMPTY, COLUMN_CHARS, SET, AT(store_job, weights_sha256), ROOM(store_job, weights_sha256)},
    {"events", INTEGER_ZERO, COLUMN_LONG, GET, AT(store_job, events)},
    {"crashes", INTEGER_ZERO, COLUMN_INT, SET, AT(store_job, crashes)},
    {"crash_iteration", INTEGER_NONE, COLUMN_LONG, SET, AT(store_job, crash_iteration)},
    {"build", "TEXT", COLUMN_TEXT, SET, AT(store_job, build)},
    {"isa", "TEXT", COLUMN_TEXT, SET, AT(store_job, isa)},
    {"event_digest", TEXT_EMPTY, COLUMN_CHARS, GET, AT(store_job, event_digest), ROOM(store_job, event_digest)},
    {"trained", "REAL NOT NULL DEFAULT 0", COLUMN_REAL, SET, AT(store_job, trained)},
    {"dataset_sha256", TEXT_EMPTY, COLUMN_CHARS, ADD | SET, AT(store_job, dataset_sha256),
     ROOM(store_job, dataset_sha256)},
    {"memory", INTEGER_ZERO, COLUMN_LONG, ADD, AT(store_job, memory)},
    {"request", "TEXT", COLUMN_TEXT, ADD, AT(store_job, request)},
    {"initial_loss", "REAL", COLUMN_REAL, SET, AT(store_job, initial_loss)},
    {"progressed", INTEGER_ZERO, COLUMN_LONG, SET, AT(store_job, progressed)},
    {"bytes", INTEGER_ZERO, COLUMN_LONG, ADD, AT(store_job, bytes), .since = 5},
    {"kills", INTEGER_ZERO, COLUMN_INT, SET, AT(store_job, kills), .since = 7},
    {"killed_at", INTEGER_NONE, COLUMN_LONG, SET, AT(store_job, killed_at), .since = 7},
    {"owner", TEXT_EMPTY, COLUMN_CHARS, ADD, AT(store_job, owner), ROOM(store_job, owner), .since = 7},
    {"experiment", TEXT_EMPTY, COLUMN_CHARS, ADD, AT(store_job, experiment), ROOM(store_job, experiment), .since = 7},
    {"point", TEXT_EMPTY, COLUMN_CHARS, ADD, AT(store_job, point), ROOM(store_job, point), .since = 9},
    {"seed", INTEGER_ZERO, COLUMN_LONG, ADD, AT(store_job, seed), .since = 11},
    {"tags", "TEXT NOT NULL DEFAULT '[]'", COLUMN_TEXT, ADD, AT(store_job, tags), .since = 11},
    {"notes", TEXT_EMPTY, COLUMN_TEXT, ADD, AT(store_job, notes), .since = 11},
    {"identity", TEXT_EMPTY, COLUMN_CHARS, ADD, AT(store_job, identity), ROOM(store_job, identity), .since = 12},
    {"worker", TEXT_EMPTY, COLUMN_CHARS, SET, AT(store_job, worker), ROOM(store_job, worker), .since = 13},
    {"reported", INTEGER_ZERO, COLUMN_LONG, SET, AT(store_job, reported), .since = 13},
    {"document", TEXT, COLUMN_TEXT, ADD, AT(store_job, brief)},
};

static const struct column events[] = {
    {"seq", "INTEGER PRIMARY KEY", COLUMN_LONG, ADD, AT(store_event, seq)},
    {"job", TEXT, COLUMN_CHARS, ADD, AT(store_event, job), ROOM(store_event, job)},
    {"id", INTEGER, COLUMN_LONG, ADD, AT(store_event, id)},
    {"time", INTEGER, COLUMN_LONG, ADD, AT(store_event, time)},
    {"type", TEXT, COLUMN_CHARS, ADD, AT(store_event, type), ROOM(store_event, type)},
    {"iteration", INTEGER, COLUMN_LONG, ADD, AT(store_event, iteration)},
    {"terminal", INTEGER, COLUMN_FLAG, ADD, AT(store_event, terminal)},
    {"succeeded", INTEGER, COLUMN_FLAG, ADD, AT(store_event, succeeded)},
    {"json", TEXT, COLUMN_TEXT, ADD, AT(store_event, json)},
    {"recheck", "TEXT", COLUMN_TEXT, ADD, AT(store_event, check)},
};

static const struct column checkpoints[] = {
    {"job", TEXT, COLUMN_CHARS, ADD, AT(store_checkpoint, job), ROOM(store_checkpoint, job)},
    {"iteration", INTEGER, COLUMN_LONG, ADD, AT(store_checkpoint, iteration)},
    {"created", INTEGER, COLUMN_LONG, ADD, AT(store_checkpoint, created)},
    {"loss", "REAL", COLUMN_REAL, ADD, AT(store_checkpoint, loss)},
    {"sha256", TEXT, COLUMN_CHARS, ADD, AT(store_checkpoint, sha256), ROOM(store_checkpoint, sha256)},
    {"bytes", "BLOB NOT NULL", COLUMN_BLOB, COLUMN_ADD, AT(store_checkpoint, bytes),
     .size_offset = offsetof(struct store_checkpoint, size)},
};

static const struct column keys[] = {
    {"key", "TEXT PRIMARY KEY", COLUMN_TEXT, COLUMN_ADD, AT(store_key, key)},
    {"body", TEXT, COLUMN_CHARS, ADD, AT(store_key, body), ROOM(store_key, body)},
    {"job", TEXT, COLUMN_CHARS, ADD, AT(store_key, job), ROOM(store_key, job)},
    {"created", INTEGER, COLUMN_LONG, ADD, AT(store_key, created)},
};

static const struct column experiments[] = {
    {"number", "INTEGER PRIMARY KEY AUTOINCREMENT", COLUMN_LONG, GET, AT(store_experiment, number)},
    {"id", "TEXT NOT NULL UNIQUE", COLUMN_CHARS, ADD | COLUMN_KEY, AT(store_experiment, id),
     ROOM(store_experiment, id)},
    {"owner", TEXT, COLUMN_CHARS, ADD, AT(store_experiment, owner), ROOM(store_experiment, owner)},
    {"state", INTEGER, COLUMN_INT, ADD | SET, AT(store_experiment, state)},
    {"created", INTEGER, COLUMN_LONG, ADD, AT(store_experiment, created)},
    {"finished", INTEGER, COLUMN_LONG, ADD | SET, AT(store_experiment, finished)},
    {"points", INTEGER, COLUMN_LONG, ADD | SET, AT(store_experiment, points)},
    {"trials", INTEGER, COLUMN_LONG, ADD | SET, AT(store_experiment, trials)},
    {"name", TEXT, COLUMN_TEXT, ADD | SET, AT(store_experiment, name)},
    {"notes", TEXT, COLUMN_TEXT, ADD | SET, AT(store_experiment, notes)},
    {"tags", TEXT, COLUMN_TEXT, ADD | SET, AT(store_experiment, tags)},
    {"document", TEXT, COLUMN_TEXT, ADD | SET, AT(store_experiment, document)},
};

static const struct column trials[] = {
    {"experiment", INTEGER, COLUMN_LONG, ADD, AT(store_trial, experiment)},
    {"point", TEXT, COLUMN_CHARS, ADD, AT(store_trial, point), ROOM(store_trial, point)},
    {"seed", INTEGER, COLUMN_LONG, ADD, AT(store_trial, seed)},
    {"job", TEXT, COLUMN_CHARS, ADD, AT(store_trial, job), ROOM(store_trial, job)},
    {"made", INTEGER, COLUMN_FLAG, ADD, AT(store_trial, made)},
};

static const struct column views[] = {
    {"name", "TEXT PRIMARY KEY", COLUMN_CHARS, ADD, AT(store_view, name), ROOM(store_view, name)},
    {"document", TEXT, COLUMN_TEXT, ADD, AT(store_view, document)},
    {"changed", INTEGER, COLUMN_LONG, ADD, AT(store_view, changed)},
};

/* The curves come last, and are read where they are wanted. */
static const struct column findings[] = {
    {"job", "TEXT PRIMARY KEY", COLUMN_CHARS, ADD, AT(store_finding, job), ROOM(store_finding, job)},
    {"status", INTEGER, COLUMN_INT, ADD, AT(store_finding, status)},
    {"diverged", INTEGER, COLUMN_FLAG, ADD, AT(store_finding, diverged)},
    {"iteration", INTEGER, COLUMN_LONG, ADD, AT(store_finding, iteration)},
    {"sha256", TEXT, COLUMN_CHARS, ADD, AT(store_finding, sha256), ROOM(store_finding, sha256)},
    {"dropped", INTEGER, COLUMN_FLAG, ADD, AT(store_finding, dropped)},
    {"curves", "BLOB NOT NULL", COLUMN_BLOB, COLUMN_ADD, AT(store_finding, curves),
     .size_offset = offsetof(struct store_finding, size)},
};

const struct record
    record_jobs = {"jobs", jobs, COUNT(jobs), "", "", 0},
    record_events = {"events", events, COUNT(events), "", "", 0},
    record_checkpoints = {"checkpoints", checkpoints, COUNT(checkpoints), ", PRIMARY KEY (job, iteration)", "", 0},
    record_keys = {"keys", keys, COUNT(keys), "", " WITHOUT ROWID", 0},
    record_experiments = {"experiments", experiments, COUNT(experiments), "", "", 9},
    record_trials = {"trials", trials, COUNT(trials), ", PRIMARY KEY (experiment, point, seed)", " WITHOUT ROWID", 9},
    record_views = {"views", views, COUNT(views), "", " WITHOUT ROWID", 11},
    record_findings = {"findings", findings, COUNT(findings), "", "", 12};

static const struct record *const records[] = {&record_jobs,  &record_events,      &record_checkpoints,
                                               &record_keys,  &record_experiments, &record_trials,
                                               &record_views, &record_findings};

/* ---- statements ---- */

/* Separators between two columns of a list. */
static const char *comma(bool *first) {
    const char *text = *first ? "" : ", ";
    *first = false;
    return text;
}

char *record_create_text(const struct record *record) {
    char *text = NULL;
    size_t size;
    bool first = true;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "CREATE TABLE %s (", record->table);
    for (size_t i = 0; i < record->count; i++) {
        fprintf(out, "%s%s %s", comma(&first), record->columns[i].name, record->columns[i].definition);
    }
    fprintf(out, "%s)%s;", record->constraints, record->options);
    return fclose(out) == 0 ? text : NULL;
}

char *record_alter_text(const struct record *record, int version) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < record->count; i++) {
        const struct column *column = &record->columns[i];
        if (column->since == version && record->since != version) {
            fprintf(out, "ALTER TABLE %s ADD COLUMN %s %s;", record->table, column->name, column->definition);
        }
    }
    return fclose(out) == 0 ? text : NULL;
}

static void put_names(FILE *out, const struct record *record, unsigned use, const char *after) {
    bool first = true;
    for (size_t i = 0; i < record->count; i++) {
        if ((record->columns[i].use & use) != 0) {
            fprintf(out, "%s%s%s", comma(&first), record->columns[i].name, after);
        }
    }
}

static void put_insert(FILE *out, const struct record *record, const char *verb) {
    bool first = true;
    fprintf(out, "%s INTO %s (", verb, record->table);
    put_names(out, record, COLUMN_ADD, "");
    fputs(") VALUES (", out);
    for (size_t i = 0; i < record->count; i++) {
        if ((record->columns[i].use & COLUMN_ADD) != 0) {
            fprintf(out, "%s?", comma(&first));
        }
    }
    fputs(")", out);
}

static void put_update(FILE *out, const struct record *record) {
    fprintf(out, "UPDATE %s SET ", record->table);
    put_names(out, record, COLUMN_SET, "=?");
    fputs(" WHERE ", out);
    put_names(out, record, COLUMN_KEY, "=?");
}

/* The record whose name is at `name`; *after receives where its name ends. */
static const struct record *record_find(const char *name, const char **after) {
    for (size_t i = 0; i < COUNT(records); i++) {
        size_t length = strlen(records[i]->table);
        if (strncmp(name, records[i]->table, length) == 0 && (name[length] == '}' || name[length] == ':')) {
            *after = name + length;
            return records[i];
        }
    }
    return NULL;
}

/* One name in braces, of which `at` is the first letter; returns the position after it. NULL: there is no such name. */
static const char *put_record(FILE *out, const char *at) {
    const char *form;
    const struct record *record = record_find(at, &form);
    if (record == NULL) {
        return NULL;
    }
    if (strncmp(form, ":insert}", 8) == 0) {
        put_insert(out, record, "INSERT");
    } else if (strncmp(form, ":replace}", 9) == 0) {
        put_insert(out, record, "INSERT OR REPLACE");
    } else if (strncmp(form, ":update}", 8) == 0) {
        put_update(out, record);
    } else {
        put_names(out, record, COLUMN_GET, "");
    }
    return strchr(form, '}') + 1;
}

int columns_prepare(sqlite3 *database, const char *pattern, sqlite3_stmt **statement) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return SQLITE_NOMEM;
    }
    const char *at = pattern;
    while (at != NULL && *at != '\0') {
        if (*at == '{') {
            at = put_record(out, at + 1);
        } else {
            fputc(*at++, out);
        }
    }
    int result = fclose(out) != 0 ? SQLITE_NOMEM : at == NULL ? SQLITE_MISUSE : SQLITE_OK;
    if (result == SQLITE_OK) {
        result = sqlite3_prepare_v3(database, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    }
    free(text);
    return result;
}

/* ---- rows ---- */

static void column_bind(sqlite3_stmt *s, int at, const struct column *column, const void *row) {
    const char *member = (const char *)row + column->offset;
    double number;
    switch (column->type) {
    case COLUMN_INT:
        sqlite3_bind_int(s, at, *(const int *)(const void *)member);
        break;
    case COLUMN_LONG:
        sqlite3_bind_int64(s, at, *(const int64_t *)(const void *)member);
        break;
    case COLUMN_FLAG:
        sqlite3_bind_int(s, at, *(const bool *)member);
        break;
    case COLUMN_REAL:
        number = *(const double *)(const void *)member;
        if (isnan(number)) {
            sqlite3_bind_null(s, at);
        } else {
            sqlite3_bind_double(s, at, number);
        }
        break;
    case COLUMN_TEXT:
        sqlite3_bind_text(s, at, *(char *const *)(const void *)member, -1, SQLITE_STATIC);
        break;
    case COLUMN_CHARS:
        sqlite3_bind_text(s, at, member, -1, SQLITE_STATIC);
        break;
    case COLUMN_BLOB:
        sqlite3_bind_blob64(s, at, *(unsigned char *const *)(const void *)member,
                            *(const size_t *)(const void *)((const char *)row + column->size_offset), SQLITE_STATIC);
        break;
    }
}

void record_bind(sqlite3_stmt *statement, const struct record *record, unsigned use, const void *row) {
    int at = 1;
    for (unsigned pass = use; pass != 0; pass = pass == COLUMN_SET ? COLUMN_KEY : 0) {
        for (size_t i = 0; i < record->count; i++) {
            if ((record->columns[i].use & pass) != 0) {
                column_bind(statement, at++, &record->columns[i], row);
            }
        }
    }
}

static bool text_read(sqlite3_stmt *s, int at, char **member, bool borrow) {
    const void *text = sqlite3_column_text(s, at);
    *member = NULL;
    if (text == NULL) {
        return sqlite3_column_type(s, at) == SQLITE_NULL;
    }
    if (borrow) {
        memcpy(member, &text, sizeof text);
    } else {
        *member = strdup(text);
    }
    return *member != NULL;
}

static bool column_read(sqlite3_stmt *s, int at, const struct column *column, void *row, bool borrow) {
    char *member = (char *)row + column->offset;
    const char *text;
    int64_t number;
    switch (column->type) {
    case COLUMN_INT:
        number = sqlite3_column_int64(s, at);
        *(int *)(void *)member = (int)number;
        return number >= INT_MIN && number <= INT_MAX;
    case COLUMN_LONG:
        *(int64_t *)(void *)member = sqlite3_column_int64(s, at);
        return true;
    case COLUMN_FLAG:
        *(bool *)member = sqlite3_column_int(s, at) != 0;
        return true;
    case COLUMN_REAL:
        *(double *)(void *)member = sqlite3_column_type(s, at) == SQLITE_NULL ? NAN : sqlite3_column_double(s, at);
        return true;
    case COLUMN_TEXT:
        return text_read(s, at, (char **)(void *)member, borrow);
    case COLUMN_CHARS:
        text = (const char *)sqlite3_column_text(s, at);
        snprintf(member, column->room, "%s", text == NULL ? "" : text);
        return true;
    case COLUMN_BLOB:
        break;
    }
    return false;
}

bool record_read(sqlite3_stmt *statement, const struct record *record, void *row, bool borrow) {
    int at = 0;
    bool whole = true;
    for (size_t i = 0; i < record->count; i++) {
        if ((record->columns[i].use & COLUMN_GET) != 0) {
            whole = column_read(statement, at++, &record->columns[i], row, borrow) && whole;
        }
    }
    return whole;
}

int record_width(const struct record *record) {
    int width = 0;
    for (size_t i = 0; i < record->count; i++) {
        width += (record->columns[i].use & COLUMN_GET) != 0;
    }
    return width;
}
