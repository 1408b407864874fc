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

#define MATCHES_MOST 3 /* two are said, the third is that there are more */

/* The experiments that a word fits. */
struct matches {
    char *ids[MATCHES_MOST];
    size_t count;
    char *named; /* the first of those whose whole name it is, and how many they are */
    size_t names;
};

/* Looks through a page for a word: "latest", the beginning of an id, or a name. */
static void page_search(const json_t *page, const char *word, struct matches *matches) {
    size_t index;
    json_t *experiment;
    json_array_foreach(json_object_get(page, "experiments"), index, experiment) {
        const char *id = json_string_value(json_object_get(experiment, "id")),
                   *name = json_string_value(json_object_get(experiment, "name"));
        bool by_name = name != NULL && strcmp(name, word) == 0,
             by_id = strcmp(word, "latest") == 0 ||
                     (id != NULL && *word != '\0' && strncasecmp(id, word, strlen(word)) == 0);
        if (id != NULL && by_name && matches->names++ == 0) {
            matches->named = memory_copy(id);
        }
        if (id != NULL && (by_id || by_name) && matches->count < MATCHES_MOST) {
            matches->ids[matches->count++] = memory_copy(id);
        }
    }
}

static enum status search(struct cli *cli, const char *word, struct matches *matches) {
    bool latest = strcmp(word, "latest") == 0, settled;
    char *after = NULL;
    enum status status;
    do {
        json_t *page = NULL;
        status = cli_get_page(cli, "experiments", "", after, latest ? 1 : PAGE_MOST, &page);
        page_search(page, word, matches);
        const char *next = json_string_value(json_object_get(page, "next"));
        free(after);
        after = next == NULL ? NULL : memory_copy(next);
        json_decref(page);
        settled = latest || (matches->count == MATCHES_MOST && matches->names > 1);
    } while (status == STATUS_OK && after != NULL && !settled);
    free(after);
    return status;
}

enum status experiment_resolve(struct cli *cli, const char *word, char **id) {
    struct matches matches = {0};
    *id = NULL;
    if (strlen(word) == JOB_ID_CHARACTERS && strspn(word, "0123456789abcdef-") == JOB_ID_CHARACTERS) {
        *id = memory_copy(word);
        return STATUS_OK;
    }
    enum status status = search(cli, word, &matches);
    if (status == STATUS_OK && matches.count == 0) {
        status = report_error(STATUS_REFUSED,
                              "no experiment has \"%s\" as its name or as the beginning of its id (modprop experiment "
                              "list shows them)",
                              word);
    } else if (status == STATUS_OK && matches.count > 1 && matches.names == 1) {
        *id = memory_copy(matches.named); /* rather than those whose ids begin so */
    } else if (status == STATUS_OK && matches.count > 1) {
        status = report_error(STATUS_USAGE, "\"%s\" fits more than one experiment: %s, %s%s; give %s", word,
                              matches.ids[0], matches.ids[1], matches.count > 2 ? ", ..." : "",
                              matches.names >= matches.count ? "the id" : "more of the id");
    } else if (status == STATUS_OK) {
        *id = memory_copy(matches.ids[0]);
    }
    for (size_t i = 0; i < matches.count; i++) {
        free(matches.ids[i]);
    }
    free(matches.named);
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
    text_printf(text, "%lld of %lld", count_of(experiment, "succeeded") + failed,
                (long long)json_integer_value(json_object_get(experiment, "trials")));
    if (failed > 0) {
        text_printf(text, ", %lld failed", failed);
    }
    if (cancelled > 0) {
        text_printf(text, ", %lld cancelled", cancelled);
    }
}
