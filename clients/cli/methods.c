/*
 * An experiment as the methods section of a paper. See methods.h.
 *
 * A parameter is a leaf of a trial's configuration, named by its path ("rule.mu"). What all conditions share stands in
 * the sentences; what differs stands there as "varied" and, with its values, in the table of conditions.
 */
#include "clients/cli/methods.h"

#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/jobs.h"
#include "clients/cli/references.h"

struct section {
    struct text *text;
    json_t *conditions; /* of each point, by its name: its parameters by their paths */
    json_t *shared;     /* parameters with one value in all points */
    json_t *varied;     /* paths of the others */
    json_t *cited;      /* keys of references, in their order */
};

/* The rules: how a sentence names them, and what it cites; NULL: nothing, the rule is ModProp's own. */
static const struct {
    const char *type, *words, *cites;
} rules[] = {
    {"bptt", "backpropagation through time, the exact gradient", "werbos1990"},
    {"rtrl", "real-time recurrent learning, the exact gradient computed forward in time", "williams1989"},
    {"eprop", "e-prop, which keeps the credit local to each unit", "bellec2020"},
    {"mdgl", "multidigraph learning (MDGL), with one step of nonlocal credit", "liu2021"},
    {"modprop",
     "ModProp, which filters credit through the recurrent weights with a constant in the place of the "
     "activation's derivative",
     "liu2022"},
    {"filter", "a filter of learning signals between cell types, whose taps are given", "liu2022"},
    {"snap", "SnAp, real-time recurrent learning with sparse sensitivities", "menick2021"},
    {"uoro", "UORO, an unbiased estimate of the gradient of rank one", "tallec2018"},
    {"diffusion", "diffusion of learning signals on a sheet of units", NULL},
};

/* ---- parameters ---- */

static void flatten(json_t *into, const char *path, const json_t *value) {
    const char *name;
    json_t *member;
    if (!json_is_object(value)) {
        json_object_set(into, path, (json_t *)value);
        return;
    }
    json_object_foreach((json_t *)value, name, member) {
        char *longer = memory_format("%s%s%s", path, *path == '\0' ? "" : ".", name);
        flatten(into, longer, member);
        free(longer);
    }
}

static bool is_of_a_result(const char *path) {
    static const char *const without[] = {"seed",
                                          "name",
                                          "notes",
                                          "tags",
                                          "priority",
                                          "threads",
                                          "training.events",
                                          "training.checkpoint_every",
                                          "training.keep_checkpoints",
                                          "training.checkpoint_spacing",
                                          "training.memory"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        if (strcmp(path, without[i]) == 0) {
            return false;
        }
    }
    return strncmp(path, "metadata.", 9) != 0;
}

/* Sorts the parameters of all points into those that all share and those that vary. */
static void parameters_sort(struct section *section) {
    const char *point, *path;
    json_t *parameters, *other, *value, *all = json_object();
    json_object_foreach(section->conditions, point, parameters) {
        json_object_update_missing(all, parameters);
    }
    json_object_foreach(all, path, value) {
        bool same = true;
        json_object_foreach(section->conditions, point, other) {
            const json_t *here = json_object_get(other, path);
            same = same && here != NULL && json_equal(here, value);
        }
        if (is_of_a_result(path)) {
            json_object_set(same ? section->shared : section->varied, path, value);
        }
    }
    json_decref(all);
}

static void conditions_read(struct section *section, const json_t *manifests) {
    const char *key;
    json_t *manifest;
    json_object_foreach((json_t *)manifests, key, manifest) {
        char *point = memory_format("%.*s", (int)(strrchr(key, '-') - key), key);
        if (json_object_get(section->conditions, point) == NULL) {
            json_t *parameters = json_object();
            flatten(parameters, "", json_object_get(manifest, "config"));
            json_object_set_new(section->conditions, point, parameters);
        }
        free(point);
    }
    parameters_sort(section);
}

/* A value as a sentence has it: names in code, arrays by their size, null as "none". */
static void value_put(struct text *text, const json_t *value) {
    if (json_is_string(value)) {
        text_printf(text, "`%s`", json_string_value(value));
    } else if (json_is_boolean(value)) {
        text_add(text, json_is_true(value) ? "yes" : "no");
    } else if (json_is_null(value)) {
        text_add(text, "none");
    } else if (json_is_array(value) && json_array_size(value) > 8) {
        text_printf(text, "an array of %zu, in experiment.json", json_array_size(value));
    } else {
        char *json = json_text(value, NULL);
        text_add(text, json);
        free(json);
    }
}

/* "The parameters were delay 10, cue 100 and noise (varied)." of those whose paths begin with `prefix`. */
static void parameters_put(struct section *section, const char *prefix, const char *begin) {
    const char *path;
    json_t *value, *all = json_copy(section->shared);
    size_t length = strlen(prefix), count = 0, index = 0;
    json_object_update(all, section->varied);
    json_object_foreach(all, path, value) {
        count += strncmp(path, prefix, length) == 0 && strcmp(path + length, "type") != 0;
    }
    if (count > 0) {
        text_add(section->text, begin);
    }
    json_object_foreach(all, path, value) {
        if (strncmp(path, prefix, length) != 0 || strcmp(path + length, "type") == 0) {
            continue;
        }
        text_printf(section->text, "%s`%s` ", index == 0 ? " " : index + 1 == count ? " and " : ", ", path + length);
        if (json_object_get(section->varied, path) != NULL) {
            text_add(section->text, "(see the conditions)");
        } else {
            value_put(section->text, value);
        }
        index++;
    }
    text_add(section->text, count > 0 ? "." : "");
    json_decref(all);
}

static void cite(struct section *section, const char *key) {
    json_object_set_new(section->cited, key, json_true());
    text_printf(section->text, " [@%s]", key);
}

/* The different values of a parameter over the points, as the keys of an object, which the caller releases. */
static json_t *values_of(const struct section *section, const char *path) {
    const char *point;
    json_t *parameters, *values = json_object();
    json_object_foreach(section->conditions, point, parameters) {
        const char *value = json_string_value(json_object_get(parameters, path));
        if (value != NULL) {
            json_object_set_new(values, value, json_true());
        }
    }
    return values;
}

/* "`a`", "`a` and `b`" */
static void names_put(struct text *text, const json_t *names) {
    const char *name;
    json_t *unused;
    size_t index = 0, count = json_object_size(names);
    json_object_foreach((json_t *)names, name, unused) {
        text_printf(text, "%s`%s`", index == 0 ? "" : index + 1 == count ? " and " : ", ", name);
        index++;
    }
}

/* ---- paragraphs ---- */

static void task_put(struct section *section) {
    json_t *tasks = values_of(section, "task.type");
    text_add(section->text, "**Task.** Networks were trained on the task");
    text_add(section->text, json_object_size(tasks) == 1 ? " " : "s ");
    names_put(section->text, tasks);
    text_add(section->text, ", as defined in core/MATHEMATICS.md of ModProp, section Tasks.");
    parameters_put(section, "task.", " The parameters of the task were");
    text_add(section->text, "\n\n");
    json_decref(tasks);
}

static void network_put(struct section *section) {
    text_add(section->text,
             "**Network.** Each network was a recurrent network with a linear readout (core/MATHEMATICS.md, sections "
             "Network, Neuron models and Readout).");
    const json_t *connectivity = json_object_get(section->shared, "network.connectivity");
    if (connectivity == NULL || (json_is_number(connectivity) && json_number_value(connectivity) < 1)) {
        json_t *kinds = values_of(section, "network.rewiring");
        if (json_object_get(kinds, "deep_r") != NULL) {
            text_add(section->text, " Sparse recurrent weights were rewired by Deep R");
            cite(section, "bellec2018");
            text_add(section->text, ".");
        }
        json_decref(kinds);
    }
    parameters_put(section, "network.", " Its parameters were");
    text_add(section->text, "\n\n");
}

static void rules_put(struct section *section) {
    json_t *types = values_of(section, "rule.type"), *feedbacks = values_of(section, "rule.feedback");
    const char *separator = "";
    text_add(section->text, "**Learning rules.** The weights were learned by ");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (json_object_get(types, rules[i].type) != NULL) {
            text_printf(section->text, "%s`%s` (%s)", separator, rules[i].type, rules[i].words);
            if (rules[i].cites != NULL) {
                cite(section, rules[i].cites);
            }
            separator = "; ";
        }
    }
    text_add(section->text, ". The credit of each rule is defined in core/MATHEMATICS.md, section Learning rules.");
    if (json_object_get(feedbacks, "random") != NULL) {
        text_add(section->text, " With random feedback, `eprop` is the rule RFLO");
        cite(section, "murray2019");
        text_add(section->text, ".");
    }
    if (json_object_get(section->varied, "rule.window") != NULL ||
        json_is_integer(json_object_get(section->shared, "rule.window"))) {
        text_add(section->text, " A `window` truncates backpropagation");
        cite(section, "williams1990");
        text_add(section->text, ".");
    }
    parameters_put(section, "rule.", " The parameters of the rules were");
    text_add(section->text, "\n\n");
    json_decref(types);
    json_decref(feedbacks);
}

static void optimizer_put(struct section *section) {
    json_t *types = values_of(section, "optimizer.type");
    text_add(section->text, "**Optimisation.** The optimiser was ");
    names_put(section->text, types);
    if (json_object_get(types, "adam") != NULL) {
        cite(section, "kingma2015");
    }
    text_add(section->text, " (core/MATHEMATICS.md, section Optimiser and regularisers).");
    parameters_put(section, "optimizer.", " Its parameters were");
    parameters_put(section, "training.", " The parameters of training were");
    text_add(section->text, "\n\n");
    json_decref(types);
}

/* "1 to 20, 31 and 40 to 44", of numbers and ranges; a range that says nothing is 1 to 10, as the API has it. */
static void seeds_words_put(struct text *text, const json_t *seeds) {
    json_t *list = json_is_array(seeds) ? json_incref((json_t *)seeds) : json_pack("[O?]", seeds), *item;
    size_t index, all = json_array_size(list);
    json_array_foreach(list, index, item) {
        const json_t *from = json_object_get(item, "from"), *count = json_object_get(item, "count");
        long long first = json_is_integer(item) ? (long long)json_integer_value(item)
                          : from == NULL        ? 1
                                                : (long long)json_integer_value(from),
                  many = json_is_integer(item) ? 1
                         : count == NULL       ? 10
                                               : (long long)json_integer_value(count);
        text_add(text, index == 0 ? "" : index + 1 == all ? " and " : ", ");
        text_printf(text, many > 1 ? "%lld to %lld" : "%lld", first, first + many - 1);
    }
    json_decref(list);
}

/* Seeds, as the specification names them, and what became of the trials. */
static void seeds_put(struct section *section, const json_t *experiment, const json_t *points) {
    const json_t *seeds = job_member(experiment, "specification.seeds");
    long long diverged = 0, failed = 0, unfinished = 0,
              conditions = (long long)json_integer_value(json_object_get(experiment, "points")),
              trials = (long long)json_integer_value(json_object_get(experiment, "trials"));
    size_t index;
    json_t *point;
    struct text words = {0};
    seeds_words_put(&words, seeds);
    json_array_foreach((json_t *)points, index, point) {
        diverged += json_integer_value(json_object_get(point, "diverged"));
        failed += json_integer_value(json_object_get(point, "failed"));
        unfinished += json_integer_value(json_object_get(point, "unfinished"));
    }
    text_printf(section->text,
                "**Seeds.** There were %lld condition%s and %lld trial%s in all; the seeds of each condition were "
                "%s. A seed determines the initial weights and the trials of the task, so conditions are paired by "
                "seed. Of all trials, %lld diverged (their loss ended above three times its first value), %lld failed "
                "and %lld had not finished.\n\n",
                conditions, conditions == 1 ? "" : "s", trials, trials == 1 ? "" : "s", words.data, diverged, failed,
                unfinished);
    text_release(&words);
}

static void builds_put(struct section *section, const json_t *manifests) {
    const char *key;
    json_t *manifest, *set, *builds = json_object(), *sets = json_object();
    size_t index;
    json_object_foreach((json_t *)manifests, key, manifest) {
        json_object_set_new(builds, job_text(manifest, "build"), json_true());
        json_array_foreach(json_object_get(manifest, "instruction_sets"), index, set) {
            json_object_set_new(sets, json_string_value(set), json_true());
        }
    }
    text_add(section->text, "**Software.** All simulations ran in ModProp, build ");
    names_put(section->text, builds);
    text_add(section->text, ", with the instruction set ");
    names_put(section->text, sets);
    text_add(section->text, ". The same build computes the same configuration and seed to the same bits "
                            "(core/MATHEMATICS.md, section Same bits); digests.txt has the sha256 of all weights.\n\n");
    json_decref(builds);
    json_decref(sets);
}

static void metric_put(struct text *text, const json_t *metric) {
    const char *member, *name = json_string_value(json_object_get(metric, "name")),
                        *unit = json_string_value(json_object_get(metric, "in"));
    json_t *value;
    json_object_foreach((json_t *)metric, member, value) {
        const char *below = strstr(member, "_below"), *above = strstr(member, "_above");
        const char *side = below != NULL ? below : above;
        if (side != NULL && json_is_number(value)) {
            long long row = (long long)json_integer_value(json_object_get(metric, "in_a_row"));
            text_printf(text,
                        " `%s` is the time (in %s) of the first of %lld consecutive evaluations with `%.*s` %s %g.",
                        name == NULL ? member : name, unit == NULL ? "iterations" : unit, row < 1 ? 1 : row,
                        (int)(side - member), member, below != NULL ? "below" : "above", json_number_value(value));
        } else if (strcmp(member, "final") == 0 || strcmp(member, "best") == 0 || strcmp(member, "area") == 0) {
            text_printf(text, " `%s%s%s` is the %s `%s`%s.", name == NULL ? member : name, name == NULL ? "_" : "",
                        name == NULL ? job_text(metric, member) : "",
                        strcmp(member, "final") == 0  ? "last value of"
                        : strcmp(member, "best") == 0 ? "best value of"
                                                      : "area under the curve of",
                        job_text(metric, member), "");
        }
    }
}

static void statistics_put(struct section *section, const json_t *experiment) {
    const json_t *metrics = job_member(experiment, "specification.metrics");
    size_t index;
    json_t *metric;
    text_add(section->text, "**Statistics.**");
    json_array_foreach((json_t *)metrics, index, metric) {
        metric_put(section->text, metric);
    }
    if (json_array_size(metrics) == 0) {
        text_add(section->text, " `final_loss` is the loss of the last evaluation.");
    }
    text_add(
        section->text,
        " A seed that never reached a bound, or whose loss diverged, counts as later than all others and is not "
        "dropped; trials that failed otherwise are missing, and the tables count them. Figures show the median and "
        "the quartiles over seeds. The tables have, for each condition and metric, n, mean, standard deviation, "
        "median, quartiles and interquartile mean, with intervals at 95 %: Student's t for means, exact order "
        "statistics for medians, Wilson's score interval for shares. Conditions are compared by differences paired "
        "by seed (of logarithms for times): their mean with Student's interval, the share of seeds won with "
        "Wilson's, and the p value of the sign-flip test (exact up to 20 pairs, else 1,000,000 seeded draws), "
        "adjusted by Holm's method over all comparisons. A pair of which one never reached the bound is won by the "
        "other and enters the sign test, not the mean. Intervals of fewer than ten seeds are marked in the "
        "tables.\n\n");
}

/* A row for each condition: its label and what varies. */
static void conditions_put(struct section *section, const json_t *points) {
    size_t index;
    json_t *point, *unused;
    const char *path;
    text_add(section->text, "## Conditions\n\n| point | condition | seeds |");
    json_object_foreach(section->varied, path, unused) {
        text_printf(section->text, " %s |", path);
    }
    text_add(section->text, "\n| --- | --- | --- |");
    text_repeat(section->text, " --- |", (int)json_object_size(section->varied));
    text_add(section->text, "\n");
    json_array_foreach((json_t *)points, index, point) {
        const json_t *parameters = json_object_get(section->conditions, job_text(point, "point"));
        text_printf(section->text, "| %s | ", job_text(point, "point"));
        for (const char *c = job_text(point, "label"); *c != '\0'; c++) {
            text_append(section->text, *c == '|' ? "\\|" : c, *c == '|' ? 2 : 1);
        }
        text_printf(section->text, " | %lld |", (long long)json_integer_value(json_object_get(point, "n")));
        json_object_foreach(section->varied, path, unused) {
            const json_t *value = json_object_get(parameters, path);
            text_add(section->text, " ");
            if (value != NULL) {
                value_put(section->text, value);
            }
            text_add(section->text, " |");
        }
        text_add(section->text, "\n");
    }
}

void methods_put(struct text *methods, struct text *references, const json_t *experiment, const json_t *points,
                 const json_t *manifests) {
    struct section section = {.text = methods,
                              .conditions = json_object(),
                              .shared = json_object(),
                              .varied = json_object(),
                              .cited = json_object()};
    const char *key;
    json_t *unused;
    text_add(methods, "# Methods\n\n");
    conditions_read(&section, manifests);
    if (json_object_size(manifests) > 0) {
        task_put(&section);
        network_put(&section);
        rules_put(&section);
        optimizer_put(&section);
    }
    seeds_put(&section, experiment, points);
    if (json_object_size(manifests) > 0) {
        builds_put(&section, manifests);
    }
    statistics_put(&section, experiment);
    conditions_put(&section, points);
    json_object_foreach(section.cited, key, unused) {
        reference_put(references, key);
    }
    json_decref(section.conditions);
    json_decref(section.shared);
    json_decref(section.varied);
    json_decref(section.cited);
}
