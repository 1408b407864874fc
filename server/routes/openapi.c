/*
 * OpenAPI: see openapi.h. Response schemas are files (schemas/NAME.json), loose where the contract lets an object grow,
 * strict elsewhere.
 */
#include "server/routes/openapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/analysis.h"
#include "api/event.h"
#include "api/job.h"
#include "api/search.h"
#include "api/simulate.h"
#include "server/routes/routes.h"
#include "server/routes/schema_files.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/*
 * Statuses of the transport and of the checks that all routes share: framing, token, Host and Origin, Accept, Expect,
 * rate, state.
 */
static const char *const always_statuses = "400 401 403 406 417 429 500 503";

static json_t *reference(const char *schema) {
    char text[96];
    snprintf(text, sizeof text, "#/components/schemas/%s", schema);
    return json_pack("{s:s}", "$ref", text);
}

/* The next name within {} of a path, or false. */
static bool path_parameter(const char **path, char name[32]) {
    const char *open = strchr(*path, '{'), *close = open == NULL ? NULL : strchr(open, '}');
    if (close == NULL) {
        return false;
    }
    snprintf(name, 32, "%.*s", (int)(close - open - 1), open + 1);
    *path = close;
    return true;
}

/* The names that `name` gives for 0, 1, ... */
static json_t *names_list(const char *(*name)(int index), int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_array_append_new(list, json_string(name(i)));
    }
    return list;
}

static const char *status_at(int index) {
    return job_status_name((enum job_status)index);
}

static const char *task_at(int index) {
    return task_type_name((enum task_type)index);
}

static const char *rule_at(int index) {
    return rule_type_name((enum rule_type)index);
}

/* The words of "json|safetensors". */
static json_t *words_list(const char *words) {
    json_t *list = json_array();
    while (*words != '\0') {
        size_t length = strcspn(words, "|");
        json_array_append_new(list, json_stringn(words, length));
        words += length + (words[length] == '|');
    }
    return list;
}

/* The language of q, with a field of jobs a line. */
static json_t *search_schema(void) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fputs("Terms separated by blanks; what is found fits all of them. A word is part of the name. field:value, "
          "field:a,b (either), field:1..5 (a range; an end may be missing), field:none, field!=value, field<value, <=, "
          ">, >=; \"-\" before a term finds what does not fit. \"*\" stands for any characters, text in double quotes "
          "is literal, upper and lower case are alike. server/QUERIES.md explains it with examples. Fields:",
          out);
    for (size_t i = 0; i < search_field_count; i++) {
        const struct search_field *field = &search_fields[i];
        unsigned jobs = 1u << SEARCH_JOBS, experiments = 1u << SEARCH_EXPERIMENTS;
        fprintf(out, "\n- %s: %s%s", field->name, field->doc,
                field->kinds == jobs          ? " (jobs)"
                : field->kinds == experiments ? " (experiments)"
                                              : "");
    }
    fputs(
        "\n- task.NAME, network.NAME, rule.NAME, optimizer.NAME, training.NAME: a parameter; of an experiment, as its "
        "base gives it\n- meta.NAME: a member of the metadata",
        out);
    json_t *schema = fclose(out) == 0 ? json_pack("{s:s, s:i, s:s}", "type", "string", "maxLength", SEARCH_BYTES - 1,
                                                  "description", text)
                                      : NULL;
    free(text);
    return schema;
}

/* The schema of a parameter's type as the route table writes it; see struct route. */
static json_t *query_schema(const char *type) {
    const struct {
        const char *type;
        const char *(*name)(int index);
        int count;
    } tables[] = {
        {"status", status_at, JOB_CANCELLED + 1}, {"task", task_at, task_count}, {"rule", rule_at, RULE_TYPES}};
    for (size_t i = 0; i < COUNT(tables); i++) {
        if (strcmp(type, tables[i].type) == 0) {
            return json_pack("{s:s, s:o}", "type", "string", "enum", names_list(tables[i].name, tables[i].count));
        }
    }
    if (strcmp(type, "search") == 0) {
        return search_schema();
    }
    if (strchr(type, '|') == NULL) {
        return json_pack("{s:s}", "type", type);
    }
    return json_pack("{s:s, s:o}", "type", "string", "enum", words_list(type));
}

/* What the parameters of an experiment's views mean. */
static const char *view_note(const char *name) {
    static const struct {
        const char *name, *note;
    } notes[] = {
        {"points", "names of points, separated by commas; all where left out"},
        {"metrics",
         "instead of the experiment's own, separated by commas: final:CURVE, best:CURVE, area:CURVE, "
         "CURVE_below:THRESHOLD "
         "or CURVE_above:THRESHOLD, the latter two also with :IN_A_ROW; CURVE is any of GET /v1/jobs/{id}/metrics. "
         "Named final_loss, loss_below_0.1 and so on"},
        {"in", "what CURVE_below and CURVE_above of the query are measured in; iterations where left out"},
        {"bootstrap", "draws of a bootstrap interval (BCa, seeded) for each mean and interquartile mean; 0: none"},
        {"axis", "the axis along which points are compared, by its name; the specification's where left out"},
        {"to", "the index of the value (or, without a grid, of the point) that others are compared to"},
        {"keys", "curves, separated by commas: loss, accuracy or any diagnostic; loss,accuracy where left out"},
        {"seeds", "each seed's own curve too"},
        {"x", "what curves are drawn against, given as x beside the iteration: trials are iterations times the batch's "
              "size, seconds those of training (the seeds' median)"},
        {"mean", "the mean over seeds too, with a bootstrap interval (BCa, seeded)"},
        {"draws", "of that bootstrap; 2000 where left out"},
    };
    for (size_t i = 0; i < COUNT(notes); i++) {
        if (strcmp(notes[i].name, name) == 0) {
            return notes[i].note;
        }
    }
    return NULL;
}

/* "limit:integer:1:100" as a parameter object. */
static json_t *query_parameter(const char *word, size_t length) {
    char copy[128];
    snprintf(copy, sizeof copy, "%.*s", (int)length, word);
    char *rest = copy, *name = strsep(&rest, ":"), *type = strsep(&rest, ":"), *low = strsep(&rest, ":"),
         *high = strsep(&rest, ":");
    json_t *schema = query_schema(type);
    if (low != NULL && high != NULL) {
        json_object_set_new(schema, "minimum", json_integer(strtoll(low, NULL, 10)));
        json_object_set_new(schema, "maximum", json_integer(strtoll(high, NULL, 10)));
    }
    return json_pack("{s:s, s:s, s:o}", "name", name, "in", "query", "schema", schema);
}

static json_t *parameters_of(const struct route *route) {
    json_t *list = json_array();
    char name[32];
    for (const char *path = route->path; path_parameter(&path, name);) {
        json_t *schema = json_pack("{s:s}", "type", "string");
        if (strcmp(name, "name") == 0 || strcmp(name, "view") == 0) {
            json_object_set_new(schema, "pattern", json_string("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"));
        }
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", "path", "required", 1, "schema", schema));
    }
    if (route->role == ROLE_WORKER && strstr(route->path, "/datasets/") == NULL) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:{s:s}}", "name", "Modprop-Worker", "in", "header",
                                              "required", strchr(route->path, '{') != NULL, "description",
                                              "the worker's id, a blank and its secret", "schema", "type", "string"));
    }
    for (const char *word = route->query; word != NULL && *word != '\0';) {
        size_t length = strcspn(word, " ");
        json_t *parameter = query_parameter(word, length);
        const char *note = strncmp(route->name, "experiment_", 11) == 0
                               ? view_note(json_string_value(json_object_get(parameter, "name")))
                               : NULL;
        if (note != NULL) {
            json_object_set_new(parameter, "description", json_string(note));
        }
        json_array_append_new(list, parameter);
        word += length + (word[length] == ' ');
    }
    return list;
}

static json_t *success_content(const struct route *route) {
    json_t *content = json_object();
    for (size_t i = 0; i < ROUTE_TYPES_MAX && route->types[i] != NULL; i++) {
        const char *type = route->types[i];
        bool is_json = strcmp(type, "application/json") == 0;
        json_t *media = json_object();
        if (strcmp(type, "text/event-stream") != 0) { /* OpenAPI 3.1 cannot describe the parts of a stream */
            json_object_set_new(media, "schema",
                                is_json && route->response != NULL
                                    ? reference(route->response)
                                    : json_pack("{s:s}", "type", is_json ? "object" : "string"));
        }
        json_object_set_new(content, type, media);
    }
    return content;
}

/*
 * What may be called with the id or name in this response: the routes whose path has it as their parameter. NULL: none.
 */
static json_t *links_of(const struct route *route) {
    bool makes = route->response != NULL && strncmp(route->statuses, "201", 3) == 0;
    bool makes_job = makes && strcmp(route->response, "Job") == 0,
         makes_experiment = makes && strcmp(route->response, "Experiment") == 0,
         makes_worker = strcmp(route->name, "worker_register") == 0;
    const char *parameter = makes_job                                 ? "id"
                            : makes_experiment                        ? "experiment"
                            : strcmp(route->name, "dataset_put") == 0 ? "name"
                            : strcmp(route->name, "view_put") == 0    ? "view"
                            : makes_worker                            ? "worker"
                                                                      : NULL;
    json_t *links = parameter == NULL ? NULL : json_object();
    for (size_t i = 0; links != NULL && i < route_count; i++) {
        char name[32], value[48];
        const char *path = route_table[i].path;
        if (path_parameter(&path, name) && strchr(path, '{') == NULL && strcmp(name, parameter) == 0) {
            snprintf(value, sizeof value, "$response.body#/%s",
                     makes_job || makes_experiment || makes_worker ? "id" : "name");
            json_object_set_new(
                links, route_table[i].name,
                json_pack("{s:s, s:{s:s}}", "operationId", route_table[i].name, "parameters", parameter, value));
        }
    }
    return links;
}

static void put_response(json_t *responses, const struct route *route, int status) {
    char code[8];
    snprintf(code, sizeof code, "%d", status);
    json_t *response = json_pack("{s:s}", "description", http_status_text(status));
    if (status == 200 || status == 201) {
        json_t *links = links_of(route);
        json_object_set_new(response, "content", success_content(route));
        if (links != NULL) {
            json_object_set_new(response, "links", links);
        }
    } else if (status >= 400) {
        json_object_set_new(response, "content",
                            json_pack("{s:{s:o}}", "application/problem+json", "schema", reference("Problem")));
    }
    json_object_set_new(responses, code, response);
}

static json_t *responses_of(const struct route *route) {
    json_t *responses = json_object();
    /* 404 if a path names something; 422 for a wrong query or body, which public routes do not check */
    const char *const lists[] = {route->statuses, always_statuses, strchr(route->path, '{') != NULL ? "404" : "",
                                 route->role == ROLE_PUBLIC || route->anytime ? "" : "422"};
    for (size_t i = 0; i < COUNT(lists); i++) {
        for (const char *at = lists[i]; *at != '\0'; at += at[3] == ' ' ? 4 : 3) {
            put_response(responses, route, (int)strtol(at, NULL, 10));
        }
    }
    return responses;
}

/* A body that is accepted, for each schema whose parts must fit one another. */
static const struct {
    const char *schema, *text;
} examples[] = {
    {"JobSubmission", "{\"task\":{\"type\":\"delayed_xor\"},\"network\":{\"units\":20},\"rule\":{\"type\":\"modprop\"},"
                      "\"training\":{\"iterations\":50}}"},
    {"ExperimentSubmission",
     "{\"name\":\"two rates\",\"base\":{\"task\":{\"type\":\"delayed_xor\"},\"network\":{\"units\":20},\"training\":"
     "{\"iterations\":50}},\"axes\":[{\"path\":\"/optimizer/learning_rate\",\"values\":[0.001,0.01]}],"
     "\"seeds\":{\"from\":1,\"count\":2}}"},
    {"GradientsRequest",
     "{\"network\":{\"W\":[[0,0.5],[-0.4,0]],\"Win\":[[1,0.8]],\"Wout\":[[0.3],[0.1]],\"bout\":[0],\"leak\":[0.9,0.9]},"
     "\"inputs\":[[[1]],[[0.5]]],\"targets\":[[[0]],[[1]]],\"mask\":[[0],[1]],\"loss\":\"mse\","
     "\"rules\":[{\"type\":\"modprop\",\"mu\":0.25}]}"},
    {"Simulation", "{\"trials\":2,\"every\":10}"},
    {"Evaluation", "{\"trials\":100}"},
    {"AnalysisRequest", "{\"type\":\"dimensionality\",\"trials\":8,\"every\":10}"}};

/* NULL: none is needed. */
static json_t *example_of(const char *schema) {
    for (size_t i = 0; i < COUNT(examples); i++) {
        if (strcmp(examples[i].schema, schema) == 0) {
            return json_loads(examples[i].text, 0, NULL);
        }
    }
    return NULL;
}

static json_t *body_of(const struct route *route) {
    if (route->body == BODY_OCTETS) {
        return json_pack("{s:b, s:{s:{s:{s:s, s:s}}}}", "required", 1, "content", "application/octet-stream", "schema",
                         "type", "string", "format", "binary");
    }
    return json_pack("{s:b, s:{s:{s:o, s:o*}}}", "required", route->body == BODY_JSON, "content", "application/json",
                     "schema", reference(route->request), "example", example_of(route->request));
}

static json_t *operation_document(const struct route *route) {
    json_t *document = json_pack("{s:s, s:s, s:o, s:o}", "operationId", route->name, "summary", route->summary,
                                 "parameters", parameters_of(route), "responses", responses_of(route));
    if (route->body == BODY_OCTETS || route->request != NULL) {
        json_object_set_new(document, "requestBody", body_of(route));
    }
    if (route->role == ROLE_PUBLIC) {
        json_object_set_new(document, "security", json_array());
    } else {
        json_object_set_new(document, "x-role", json_string(role_name(route->role)));
    }
    return document;
}

/* An event is one of its types, by the table of api/event. */
static json_t *event_schema(void) {
    json_t *alternatives = json_array(), *mapping = json_object();
    for (size_t i = 0; i < EVENT_TYPES; i++) {
        json_t *one = reference(event_kinds[i].schema);
        json_object_set(mapping, event_kinds[i].name, json_object_get(one, "$ref"));
        json_array_append_new(alternatives, one);
    }
    return json_pack("{s:o, s:{s:s, s:o}}", "oneOf", alternatives, "discriminator", "propertyName", "type", "mapping",
                     mapping);
}

json_t *openapi_document(void) {
    static const char *const methods[] = {"get", "post", "put", "delete", "patch"};
    json_t *paths = json_object(), *schemas = json_object();
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &route_table[i];
        json_t *path = json_object_get(paths, route->path);
        if (path == NULL) {
            path = json_object();
            json_object_set_new(paths, route->path, path);
        }
        json_object_set_new(path, methods[route->method], operation_document(route));
    }
    for (const struct schema_file *file = schema_files; file->name != NULL; file++) {
        json_object_set_new(schemas, file->name, json_loads(file->text, 0, NULL));
    }
    json_object_set_new(schemas, "Event", event_schema());
    json_object_set_new(schemas, "JobSubmission", job_schema());
    json_object_set_new(schemas, "Rule", rule_schema());
    json_object_set_new(schemas, "Simulation", simulate_schema(ASK_SIMULATE));
    json_object_set_new(schemas, "AnalysisRequest", analysis_schema());
    json_object_set_new(schemas, "Evaluation", simulate_schema(ASK_EVALUATE));
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s}}, s:[{s:[]}, {}], s:o, s:{s:o, s:{s:{s:s, s:s}}}}", "openapi",
                     "3.1.0", "info", "title", "modpropd", "version", MODPROP_VERSION, "description",
                     "Trains recurrent networks with biologically plausible learning rules.", "license", "name", "MIT",
                     "security", "bearer", "paths", paths, "components", "schemas", schemas, "securitySchemes",
                     "bearer", "type", "http", "scheme", "bearer");
}
