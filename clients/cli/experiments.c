/*
 * Experiments as the command line sees them. See experiments.h.
 */
#include "clients/cli/experiments.h"

#include <stdlib.h>
#include <string.h>

#include "clients/cli/jobs.h"
#include "clients/cli/report.h"

char *experiment_path(const char *id, const char *rest) {
    char *escaped = http_escape(id), *path = memory_format("/v1/experiments/%s%s", escaped, rest);
    free(escaped);
    return path;
}

/* What a word may fit: the beginning of an id, or a name. */
static bool fits(const json_t *experiment, const char *word) {
    const char *id = json_string_value(json_object_get(experiment, "id")),
               *name = json_string_value(json_object_get(experiment, "name"));
    return id != NULL && (strcmp(word, "latest") == 0 || strncasecmp(id, word, strlen(word)) == 0 ||
                          (name != NULL && strcmp(name, word) == 0));
}

/* Looks through a page; *id becomes the first that fits, *other the second. */
static void page_search(const json_t *page, const char *word, char **id, char **other) {
    size_t index;
    json_t *experiment;
    json_array_foreach(json_object_get(page, "experiments"), index, experiment) {
        char **found = *id == NULL ? id : other;
        if (*found == NULL && fits(experiment, word)) {
            *found = memory_copy(json_string_value(json_object_get(experiment, "id")));
        }
    }
}

static enum status search(struct cli *cli, const char *word, char **id, char **other) {
    char *after = NULL;
    enum status status;
    do {
        json_t *page = NULL;
        status = cli_get_page(cli, "experiments", "", after, strcmp(word, "latest") == 0 ? 1 : PAGE_MOST, &page);
        page_search(page, word, id, other);
        const char *next = json_string_value(json_object_get(page, "next"));
        free(after);
        after = next == NULL ? NULL : memory_copy(next);
        json_decref(page);
    } while (status == STATUS_OK && after != NULL && *other == NULL && strcmp(word, "latest") != 0);
    free(after);
    return status;
}

enum status experiment_resolve(struct cli *cli, const char *word, char **id) {
    char *other = NULL;
    *id = NULL;
    if (strlen(word) == JOB_ID_CHARACTERS && strspn(word, "0123456789abcdef-") == JOB_ID_CHARACTERS) {
        *id = memory_copy(word);
        return STATUS_OK;
    }
    enum status status = search(cli, word, id, &other);
    if (status == STATUS_OK && *id == NULL) {
        status = report_error(STATUS_REFUSED,
                              "no experiment has \"%s\" as its name or as the beginning of its id (modprop experiment "
                              "list shows them)",
                              word);
    } else if (status == STATUS_OK && other != NULL) {
        status = report_error(STATUS_USAGE, "\"%s\" fits more than one experiment: %s, %s, ...; give more of the id",
                              word, *id, other);
    }
    if (status != STATUS_OK) {
        free(*id);
        *id = NULL;
    }
    free(other);
    return status;
}

enum status experiment_get(struct cli *cli, const char *word, const char *rest, json_t **document) {
    char *id = NULL;
    *document = NULL;
    enum status status = experiment_resolve(cli, word, &id);
    if (status == STATUS_OK) {
        char *path = experiment_path(id, rest);
        status = cli_get(cli, path, "read the experiment", document);
        free(path);
    }
    free(id);
    return status;
}

bool experiment_has_ended(const json_t *experiment) {
    const char *status = job_status(experiment);
    return strncmp(status, "complete", 8) == 0 || strcmp(status, "cancelled") == 0;
}

enum paint experiment_paint(const char *status) {
    return strcmp(status, "complete") == 0                 ? PAINT_GREEN
           : strcmp(status, "complete_with_failures") == 0 ? PAINT_RED
           : strcmp(status, "running") == 0                ? PAINT_CYAN
                                                           : PAINT_YELLOW;
}

static long long count_of(const json_t *experiment, const char *status) {
    return json_integer_value(json_object_get(json_object_get(experiment, "counts"), status));
}

void experiment_progress_put(const json_t *experiment, struct text *text) {
    long long failed = count_of(experiment, "failed"), cancelled = count_of(experiment, "cancelled");
    text_printf(text, "%lld of %lld", count_of(experiment, "succeeded") + failed + cancelled,
                (long long)json_integer_value(json_object_get(experiment, "trials")));
    if (failed > 0) {
        text_printf(text, ", %lld failed", failed);
    }
}
