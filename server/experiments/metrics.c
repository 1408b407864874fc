/* Reading metrics: see metrics.h. */
#include "server/experiments/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "core/base/options.h"
#include "server/experiments/members.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define IN_A_ROW_MOST 1000

static const char *const unit_names[] = {
    [UNIT_ITERATIONS] = "iterations", [UNIT_TRIALS] = "trials", [UNIT_SECONDS] = "seconds"};

/* "loss_below": the curve, and the side of the threshold. False if the name has another form. */
static bool threshold_name(const char *name, struct metric *metric) {
    const char *end = strrchr(name, '_');
    if (end == NULL || end == name || (strcmp(end, "_below") != 0 && strcmp(end, "_above") != 0)) {
        return false;
    }
    metric->above = strcmp(end, "_above") == 0;
    snprintf(metric->key, sizeof metric->key, "%.*s", (int)(end - name), name);
    return true;
}

/* Whether larger values of this curve are better. */
static bool curve_rises(const char *key) {
    return strcmp(key, "accuracy") == 0 || strncmp(key, "cosine", 6) == 0;
}

bool curve_exists(const char *key) {
    const char *names[CURVES_MAX];
    size_t count = event_curves(names);
    bool found = false;
    for (size_t i = 1; i < count; i++) { /* not the iteration */
        found = found || strcmp(names[i], key) == 0;
    }
    return found;
}

/* Adds ", did you mean" or the list of curves to `text`. */
static void curves_propose(const char *key, char text[400]) {
    const char *names[CURVES_MAX], *nearest;
    size_t count = event_curves(names), used = 0;
    nearest = name_nearest(key, names + 1, count - 1); /* not the iteration */
    if (nearest != NULL) {
        snprintf(text, 400, "did you mean \"%s\"?", nearest);
        return;
    }
    for (size_t i = 1; i < count && used < 400; i++) {
        used += (size_t)snprintf(text + used, 400 - used, "%s%s", i == 1 ? "there are " : ", ", names[i]);
    }
}

void curve_refuse(struct problems *problems, const char *key) {
    char proposed[400];
    curves_propose(key, proposed);
    problems_add(problems, NULL, "keys", "\"%.60s\" is not a curve; %s", key, proposed);
}

/* One member of a metric's document. False if it does not say what is measured. */
static bool metric_member(struct metric *metric, const char *name, const json_t *value, const struct path *path,
                          struct problems *problems) {
    static const char *const kinds[] = {[METRIC_FINAL] = "final", [METRIC_BEST] = "best", [METRIC_AREA] = "area"};
    for (int kind = METRIC_FINAL; kind <= METRIC_AREA; kind++) {
        if (strcmp(name, kinds[kind]) == 0) {
            const char *key = json_string_value(value);
            metric->kind = (enum metric_kind)kind;
            snprintf(metric->key, sizeof metric->key, "%.*s", (int)sizeof metric->key - 1, key == NULL ? "" : key);
            return true;
        }
    }
    if (threshold_name(name, metric)) {
        metric->kind = METRIC_LEARNED;
        metric->threshold = json_number_value(value);
        if (!json_is_number(value)) {
            problems_add(problems, path, name, "must be a number");
        }
        return true;
    }
    if (strcmp(name, "name") != 0 && strcmp(name, "in_a_row") != 0 && strcmp(name, "in") != 0) {
        problems_add(problems, path, name,
                     "is not a known member of a metric: final, best and area name a curve; CURVE_below and "
                     "CURVE_above have a threshold, with in_a_row and in (iterations, trials or seconds)");
    }
    return false;
}

bool metric_unit_find(const char *name, enum metric_unit *unit) {
    for (size_t i = 0; name != NULL && i < COUNT(unit_names); i++) {
        if (strcmp(unit_names[i], name) == 0) {
            *unit = (enum metric_unit)i;
            return true;
        }
    }
    return false;
}

static void metric_finish(struct metric *metric, const json_t *document, size_t measures, const struct path *path,
                          struct problems *problems) {
    static const char *const kinds[] = {"learned", "final", "best", "area"};
    const json_t *given = json_object_get(document, "name");
    const char *name = json_string_value(given);
    const json_t *unit = json_object_get(document, "in");
    metric->in_a_row = (int)member_integer(document, "in_a_row", 1, IN_A_ROW_MOST, 1, path, problems);
    if (unit != NULL && !metric_unit_find(json_string_value(unit), &metric->unit)) {
        problems_add(problems, path, "in", "must be iterations, trials or seconds");
    }
    metric->greater_is_better = metric->kind != METRIC_LEARNED && curve_rises(metric->key);
    if (measures != 1) {
        problems_add(problems, path, NULL,
                     "must have one measure: final, best or area with a curve, or CURVE_below or CURVE_above with a "
                     "threshold");
    } else if (!curve_exists(metric->key)) {
        char proposed[400];
        curves_propose(metric->key, proposed);
        problems_add(problems, path, NULL, "must name a curve of GET /v1/jobs/{id}/metrics; got \"%.60s\": %s",
                     metric->key, proposed);
    }
    if (given != NULL && (name == NULL || *name == '\0' || strlen(name) >= sizeof metric->name)) {
        problems_add(problems, path, "name", "must be a string of 1 to %zu bytes", sizeof metric->name - 1);
    } else if (name != NULL) {
        snprintf(metric->name, sizeof metric->name, "%s", name);
    } else if (metric->kind == METRIC_LEARNED) {
        snprintf(metric->name, sizeof metric->name, "learned");
    } else {
        snprintf(metric->name, sizeof metric->name, "%s_%.*s", kinds[metric->kind], (int)sizeof metric->name - 9,
                 metric->key);
    }
}

static void metric_read(struct metric *metric, const json_t *document, const struct path *path,
                        struct problems *problems) {
    const char *name;
    json_t *value;
    size_t measures = 0;
    json_object_foreach((json_t *)(uintptr_t)document, name, value) {
        measures += metric_member(metric, name, value, path, problems);
    }
    metric_finish(metric, document, measures, path, problems);
}

size_t metrics_read(const json_t *list, struct metric metrics[DESIGN_METRICS], struct problems *problems) {
    const struct path path = {.name = "metrics"};
    size_t count = json_array_size(list);
    memset(metrics, 0, DESIGN_METRICS * sizeof *metrics);
    if (list == NULL) {
        metrics[0] = (struct metric){.name = "final_loss", .kind = METRIC_FINAL, .key = "loss", .in_a_row = 1};
        return 1;
    }
    if (!json_is_array(list) || count == 0 || count > DESIGN_METRICS) {
        problems_add(problems, NULL, "metrics", "must be a list of 1 to %d metrics", DESIGN_METRICS);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const struct path one = {.parent = &path, .index = i};
        const json_t *document = json_array_get(list, i);
        if (!json_is_object(document)) {
            problems_add(problems, &one, NULL, "must be an object");
            continue;
        }
        metric_read(&metrics[i], document, &one, problems);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(metrics[i].name, metrics[j].name) == 0) {
                problems_add(problems, &one, "name", "must not be the name of another metric");
            }
        }
    }
    return count;
}

/* ---- of a query ---- */

/* One metric's text as the object that a specification would have; NULL if it has no such form. */
static json_t *metric_document(const char *text, size_t length, enum metric_unit unit) {
    char measure[METRIC_NAME_BYTES + 8], value[METRIC_NAME_BYTES], name[2 * METRIC_NAME_BYTES + 9];
    char times[10] = "1";
    if (length >= METRIC_NAME_BYTES || sscanf(text, "%63[^:,]:%63[^:,]:%9[-+0-9]", measure, value, times) < 2) {
        return NULL;
    }
    int in_a_row = (int)strtol(times, NULL, 10);
    char *end;
    double threshold = strtod(value, &end);
    snprintf(name, sizeof name, "%s_%s", measure, value);
    name[METRIC_NAME_BYTES - 1] = '\0';
    if (end == value || *end != '\0') {
        return json_pack("{s:s, s:s}", "name", name, measure, value);
    }
    return json_pack("{s:s, s:f, s:i, s:s}", "name", name, measure, threshold, "in_a_row", in_a_row, "in",
                     unit_names[unit]);
}

size_t metrics_parse(const char *text, enum metric_unit unit, struct metric metrics[DESIGN_METRICS],
                     struct problems *problems) {
    json_t *list = json_array();
    size_t length, count;
    for (const char *rest = *text == '\0' ? NULL : text, *one; (one = option_list_next(&rest, &length)) != NULL;) {
        json_t *document = metric_document(one, length, unit);
        if (document == NULL) {
            problems_add(problems, NULL, "metrics",
                         "must be a list of final:CURVE, best:CURVE, area:CURVE, CURVE_below:THRESHOLD or "
                         "CURVE_above:THRESHOLD, the latter two also with :IN_A_ROW; got \"%.*s\"",
                         (int)length, one);
        }
        json_array_append_new(list, document);
    }
    count = metrics_read(list, metrics, problems);
    json_decref(list);
    return count;
}
