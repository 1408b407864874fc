/*
 * Jobs side by side. See compare.h.
 *
 * What sets a group apart is found, not asked for: a field counts if it differs between jobs whose section (task, rule,
 * ...) has the same type. So ModProp and e-prop are distinguished by the rule's name alone, although only one of them
 * has a mu. Seeds, names and metadata never count: curves that differ in them alone belong to one group.
 */
#include "clients/cli/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/jobs.h"

#define IN_A_ROW 5

/*
 * In the order of a label: the rule first, which is what most comparisons are about and what a narrow terminal cuts
 * last.
 */
static const char *const sections[] = {"rule", "task", "network", "optimizer", "training"};
#define SECTIONS (sizeof sections / sizeof sections[0])

/* json_equal takes no missing members. */
static bool same_value(const json_t *a, const json_t *b) {
    return a == b || json_equal(a, b);
}

static bool same_type(const json_t *a, const json_t *b) {
    const json_t *x = json_object_get(a, "type"), *y = json_object_get(b, "type");
    return same_value(x, y);
}

/*
 * Whether the field distinguishes two jobs with sections of the same type; for the type itself, whether any two jobs
 * differ in it.
 */
static bool differs(const struct comparison *comparison, const char *section, const char *field) {
    bool is_type = strcmp(field, "type") == 0;
    const json_t *first = json_object_get(comparison->members[0].job, section);
    for (size_t i = 0; i < comparison->count; i++) {
        const json_t *a = json_object_get(comparison->members[i].job, section);
        if (is_type && !same_type(first, a)) {
            return true;
        }
        for (size_t j = 0; !is_type && j < i; j++) {
            const json_t *b = json_object_get(comparison->members[j].job, section);
            if (same_type(a, b) && !same_value(json_object_get(a, field), json_object_get(b, field))) {
                return true;
            }
        }
    }
    return false;
}

static void value_put(struct text *text, const json_t *value) {
    if (json_is_string(value)) {
        text_add(text, json_string_value(value));
    } else if (json_is_real(value)) {
        text_printf(text, "%.6g", json_real_value(value));
    } else {
        char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        text_printf(text, "%.60s", dump == NULL ? "?" : dump);
        free(dump);
    }
}

/* Cell types enter the credit alone, and only where it is carried by averages over them. */
static bool matters(const json_t *job, const char *field) {
    return strcmp(field, "types_per_sign") != 0 || strcmp(job_text(job, "rule.weights"), "type") == 0;
}

/* "modprop mu 0.25": the fields that tell jobs apart, with this job's values; "" where none does. */
static char *label_make(const struct comparison *comparison, const json_t *job) {
    struct text text = {0};
    text_add(&text, "");
    for (size_t i = 0; i < SECTIONS; i++) {
        const char *field;
        json_t *value;
        json_object_foreach(json_object_get(job, sections[i]), field, value) {
            if (matters(job, field) && differs(comparison, sections[i], field)) {
                bool is_type = strcmp(field, "type") == 0;
                text_printf(&text, "%s%s%s", text.size > 0 ? " " : "", is_type ? "" : field, is_type ? "" : " ");
                value_put(&text, value);
            }
        }
    }
    return text.data;
}

static void groups_find(struct comparison *comparison) {
    comparison->groups = memory_allocate(comparison->count, sizeof *comparison->groups);
    for (size_t i = 0; i < comparison->count; i++) {
        char *label = label_make(comparison, comparison->members[i].job);
        int group = 0;
        while (group < comparison->group_count && strcmp(comparison->groups[group].name, label) != 0) {
            group++;
        }
        if (group == comparison->group_count) {
            comparison->groups[comparison->group_count++].name = label;
            label = NULL;
        }
        comparison->members[i].group = group;
        comparison->groups[group].members++;
        free(label);
    }
    if (comparison->group_count == 1 && *comparison->groups[0].name == '\0') {
        struct text name = {0};
        job_rule_put(&name, comparison->members[0].job);
        free(comparison->groups[0].name);
        comparison->groups[0].name = name.data;
    }
}

/* The curve's value at x, NAN where it has none. */
static double value_at(const struct curve *curve, double x) {
    size_t low = 0, high = curve->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (curve->x[middle] < x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < curve->count && curve->x[low] == x ? curve->y[low] : NAN;
}

static void mean_make(const struct comparison *comparison, int group, struct curve *mean) {
    const struct curve *first = NULL;
    for (size_t i = 0; i < comparison->count && first == NULL; i++) {
        const struct member *member = &comparison->members[i];
        first = member->group == group && member->curve.count > 0 ? &member->curve : NULL;
    }
    if (first == NULL) {
        return;
    }
    mean->x = memory_allocate(first->count, sizeof *mean->x);
    mean->y = memory_allocate(first->count, sizeof *mean->y);
    for (size_t point = 0; point < first->count; point++) {
        double sum = 0;
        int count = 0;
        for (size_t i = 0; i < comparison->count; i++) {
            const struct member *member = &comparison->members[i];
            if (member->group == group && member->curve.count > 0) {
                sum += value_at(&member->curve, first->x[point]);
                count++;
            }
        }
        if (isfinite(sum)) {
            mean->x[mean->count] = first->x[point];
            mean->y[mean->count++] = sum / count;
        }
    }
}

/* Mean and sample deviation of the finite values. */
static void moments(const double *values, size_t count, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    size_t finite = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            sum += values[i];
            finite++;
        }
    }
    *mean = finite > 0 ? sum / (double)finite : NAN;
    for (size_t i = 0; i < count; i++) {
        squares += isfinite(values[i]) ? (values[i] - *mean) * (values[i] - *mean) : 0;
    }
    *deviation = finite > 1 ? sqrt(squares / (double)(finite - 1)) : NAN;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void group_measure(const struct comparison *comparison, int index) {
    struct group *group = &comparison->groups[index];
    double *losses = memory_allocate((size_t)group->members, sizeof *losses),
           *accuracies = memory_allocate((size_t)group->members, sizeof *accuracies);
    double *reached = memory_allocate((size_t)group->members, sizeof *reached);
    size_t count = 0;
    for (size_t i = 0; i < comparison->count; i++) {
        const struct member *member = &comparison->members[i];
        if (member->group == index) {
            losses[count] = member->loss;
            accuracies[count] = member->accuracy;
            group->reached_count += isfinite(member->reached);
            reached[count++] = isfinite(member->reached) ? member->reached : INFINITY;
        }
    }
    moments(losses, count, &group->loss_mean, &group->loss_deviation);
    moments(accuracies, count, &group->accuracy_mean, &group->accuracy_deviation);
    qsort(reached, count, sizeof *reached, ascending);
    group->reached_median = count % 2 == 1 ? reached[count / 2] : 0.5 * (reached[count / 2 - 1] + reached[count / 2]);
    mean_make(comparison, index, &group->mean);
    free(losses);
    free(accuracies);
    free(reached);
}

void comparison_group(struct comparison *comparison) {
    groups_find(comparison);
    for (int group = 0; group < comparison->group_count; group++) {
        group_measure(comparison, group);
    }
}

double curve_reach(const struct curve *curve, double bound, bool is_over) {
    size_t row = 0;
    for (size_t i = 0; i < curve->count; i++) {
        bool is_beyond = is_over ? curve->y[i] > bound : curve->y[i] < bound; /* a gap is neither */
        row = is_beyond ? row + 1 : 0;
        if (row == IN_A_ROW) {
            return curve->x[i + 1 - IN_A_ROW];
        }
    }
    return NAN;
}

void comparison_release(struct comparison *comparison) {
    for (size_t i = 0; i < comparison->count; i++) {
        json_decref(comparison->members[i].job);
        free(comparison->members[i].curve.x);
        free(comparison->members[i].curve.y);
    }
    for (int group = 0; group < comparison->group_count; group++) {
        free(comparison->groups[group].name);
        free(comparison->groups[group].mean.x);
        free(comparison->groups[group].mean.y);
    }
    free(comparison->members);
    free(comparison->groups);
    *comparison = (struct comparison){0};
}
