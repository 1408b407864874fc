/*
 * Jobs as the command line sees them. See jobs.h.
 */
#include "clients/cli/jobs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "api/problem.h"
#include "clients/cli/report.h"

#define MU_PUBLISHED 0.25
#define PREFIX_LEAST 13

char *job_path(const char *id, const char *rest) {
    char *escaped = http_escape(id), *path = memory_format("/v1/jobs/%s%s", escaped, rest);
    free(escaped);
    return path;
}

/* Whether `word` could begin an id: hexadecimal digits and dashes. */
static bool is_prefix(const char *word) {
    return *word != '\0' && strlen(word) <= JOB_ID_CHARACTERS &&
           strspn(word, "0123456789abcdefABCDEF-") == strlen(word);
}

/*
 * Whether the job's id begins with `prefix`. Ids sort by time and lists are newest first, so *passed says that none of
 * those that follow does.
 */
static bool has_prefix(const json_t *job, const char *prefix, bool *passed) {
    const char *own = json_string_value(json_object_get(job, "id"));
    int order = own == NULL ? 1 : strncasecmp(own, prefix, strlen(prefix));
    *passed = *passed || order < 0;
    return order == 0;
}

/* Whether it has this name, to the letter. */
static bool has_name(const json_t *job, const char *name, bool *passed) {
    (void)passed;
    return strcmp(job_text(job, "name"), name) == 0;
}

/*
 * Looks through the list that `query` asks for: *id becomes the first job that `fits`, *other the second; NULL where
 * there is none.
 */
static enum status jobs_find(struct cli *cli, const char *query,
                             bool (*fits)(const json_t *job, const char *word, bool *passed), const char *word,
                             char **id, char **other) {
    char *after = NULL;
    enum status status = STATUS_OK;
    for (bool passed = false; status == STATUS_OK && !passed && *other == NULL;) {
        json_t *page = NULL, *job;
        size_t index;
        status = cli_get_page(cli, "jobs", query, after, PAGE_MOST, &page);
        json_array_foreach(json_object_get(page, "jobs"), index, job) {
            char **place = *id == NULL ? id : other;
            if (fits(job, word, &passed) && *place == NULL) {
                *place = memory_copy(job_text(job, "id"));
            }
        }
        const char *next = json_string_value(json_object_get(page, "next"));
        free(after);
        after = next == NULL ? NULL : memory_copy(next);
        json_decref(page);
        passed = passed || after == NULL;
    }
    free(after);
    return status;
}

/* "&q=name:..." of a whole name, quoted so that nothing of it means anything to the query language. */
static char *name_query(const char *name) {
    struct text term = {0};
    text_add(&term, "name:\"");
    for (const char *c = name; *c != '\0'; c++) {
        text_add(&term, *c == '"' || *c == '\\' ? "\\" : "");
        text_append(&term, c, 1);
    }
    text_add(&term, "\"");
    char *escaped = http_escape(term.data), *query = memory_format("&q=%s", escaped);
    text_release(&term);
    free(escaped);
    return query;
}

/* By the beginning of an id, or by a name: one job's name is meant where several ids begin so ("0" of jobs 0 to 9). */
static enum status word_resolve(struct cli *cli, const char *word, char **id) {
    char *other = NULL, *named = NULL, *namesake = NULL;
    enum status status = is_prefix(word) ? jobs_find(cli, "", has_prefix, word, id, &other) : STATUS_OK;
    if (status == STATUS_OK && (*id == NULL || other != NULL)) {
        char *query = name_query(word);
        status = jobs_find(cli, query, has_name, word, &named, &namesake);
        free(query);
    }
    if (status == STATUS_OK && named != NULL && namesake == NULL) {
        free(*id);
        *id = named;
        named = NULL;
    } else if (status == STATUS_OK && other != NULL) {
        status = report_error(STATUS_USAGE, "more than one job id starts with \"%s\": %s, %s, ...; give more of the id",
                              word, *id, other);
    } else if (status == STATUS_OK && named != NULL) {
        status = report_error(STATUS_USAGE, "more than one job has the name \"%s\", such as %s and %s; give the id",
                              word, named, namesake);
    } else if (status == STATUS_OK && *id == NULL) {
        status = report_error(STATUS_REFUSED,
                              "no job has \"%s\" as its name or as the beginning of its id (modprop list shows them)",
                              word);
    }
    if (status != STATUS_OK) {
        free(*id);
        *id = NULL;
    }
    free(other);
    free(named);
    free(namesake);
    return status;
}

static enum status latest_resolve(struct cli *cli, char **id) {
    json_t *page = NULL;
    enum status status = cli_get_page(cli, "jobs", "", NULL, 1, &page);
    const char *newest = json_string_value(json_object_get(json_array_get(json_object_get(page, "jobs"), 0), "id"));
    if (status == STATUS_OK && newest == NULL) {
        status = report_error(STATUS_REFUSED, "there is no job yet (modprop submit creates one)");
    } else if (status == STATUS_OK) {
        *id = memory_copy(newest);
    }
    json_decref(page);
    return status;
}

enum status job_resolve(struct cli *cli, const char *word, char **id) {
    *id = NULL;
    if (strcmp(word, "latest") == 0) {
        return latest_resolve(cli, id);
    }
    if (is_prefix(word) && strlen(word) == JOB_ID_CHARACTERS) {
        *id = memory_copy(word);
        for (char *c = *id; *c != '\0'; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
        return STATUS_OK;
    }
    return word_resolve(cli, word, id);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int job_prefix_length(const char **ids, size_t count) {
    int longest = PREFIX_LEAST;
    qsort(ids, count, sizeof *ids, by_text);
    for (size_t i = 1; i < count; i++) { /* sorted, the nearest are neighbours */
        int same = 0;
        while (ids[i - 1][same] != '\0' && ids[i - 1][same] == ids[i][same]) {
            same++;
        }
        longest = same + 1 > longest ? same + 1 : longest;
    }
    return longest;
}

enum status job_get(struct cli *cli, const char *word, json_t **document) {
    char *id;
    *document = NULL;
    enum status status = job_resolve(cli, word, &id);
    if (status == STATUS_OK) {
        char *path = job_path(id, "");
        status = cli_get(cli, path, "show the job", document);
        free(path);
    }
    free(id);
    return status;
}

json_t *job_member(const json_t *job, const char *path) {
    json_t *at = (json_t *)job;
    while (at != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        at = json_object_getn(at, path, length);
        path += length + (path[length] == '.');
    }
    return at;
}

const char *job_text(const json_t *job, const char *path) {
    const char *text = json_string_value(job_member(job, path));
    return text == NULL ? "-" : text;
}

const char *job_task(const json_t *job, char text[JOB_TASK_BYTES]) {
    const char *type = job_text(job, "task.type");
    bool is_named = strcmp(type, "dataset") == 0 && json_is_string(job_member(job, "task.name"));
    snprintf(text, JOB_TASK_BYTES, "%s%s%s", type, is_named ? " " : "", is_named ? job_text(job, "task.name") : "");
    return text;
}

const char *job_status(const json_t *job) {
    const char *status = json_string_value(json_object_get(job, "status"));
    return status == NULL ? "" : status;
}

const char *job_standing(const json_t *job) {
    const char *outcome = json_string_value(json_object_get(job, "outcome"));
    return outcome != NULL && strcmp(outcome, "diverged") == 0 ? outcome : job_status(job);
}

bool job_has_ended(const json_t *job) {
    const char *status = job_status(job);
    return strcmp(status, "succeeded") == 0 || strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0;
}

enum paint job_status_paint(const char *status) {
    static const struct {
        const char *status;
        enum paint paint;
    } paints[] = {{"running", PAINT_CYAN},      {"succeeded", PAINT_GREEN}, {"failed", PAINT_RED},
                  {"cancelled", PAINT_YELLOW},  {"paused", PAINT_YELLOW},   {"pausing", PAINT_YELLOW},
                  {"cancelling", PAINT_YELLOW}, {"diverged", PAINT_YELLOW}};
    for (size_t i = 0; i < sizeof paints / sizeof paints[0]; i++) {
        if (strcmp(paints[i].status, status) == 0) {
            return paints[i].paint;
        }
    }
    return PAINT_NONE;
}

void job_rule_put(struct text *text, const json_t *job) {
    const json_t *mu = job_member(job, "rule.mu"), *types = job_member(job, "network.types_per_sign");
    const char *weights = json_string_value(job_member(job, "rule.weights")),
               *hop = json_string_value(job_member(job, "rule.first_hop"));
    text_add(text, job_text(job, "rule.type"));
    if (json_is_number(mu) && json_number_value(mu) != MU_PUBLISHED) {
        text_printf(text, " mu %.4g", json_number_value(mu));
    } else if (json_is_string(mu)) {
        text_printf(text, " mu %s", json_string_value(mu));
    }
    if (weights != NULL) {
        text_printf(text, " %s", weights);
        if (strcmp(weights, "type") == 0 && json_is_integer(types)) {
            text_printf(text, " %lld", (long long)json_integer_value(types));
        }
    }
    if (hop != NULL && strcmp(hop, "mu") != 0) {
        text_printf(text, " %s", hop);
    }
}
