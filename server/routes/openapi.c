/*
 * OpenAPI: see openapi.h. Schemas of answers are loose where the contract lets an object grow, strict where it does
 * not.
 */
#include "server/routes/openapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "api/simulate.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* What a route's line in the document says beyond the route table. */
struct operation {
    const char *route, *summary;
    const char *statuses; /* beside those that any route may answer */
    const char *request;  /* schema of the body */
    const char *response; /* schema of the first status */
};

static const struct operation operations[] = {
    {"index", "What is here (or the dashboard)", "200", NULL, NULL},
    {"submit",
     "Submit a job; with Accept: application/x-ndjson or text/event-stream its events follow, and its weights as the "
     "last",
     "201 400 409 413 415 507", "JobSubmission", "Job"},
    {"validate",
     "The job with its defaults, its memory and multiply-adds; nothing is stored. A body of more than 65536 bytes "
     "needs "
     "the role submit",
     "200 400 413 415", "JobSubmission", "Validated"},
    {"jobs", "Jobs, newest first", "200", NULL, "JobPage"},
    {"job", "One job; wait answers when it ends or after that many seconds", "200", NULL, "Job"},
    {"delete", "Delete a finished job and all that belongs to it", "204 409 415 507", NULL, NULL},
    {"cancel", "Cancel a job", "200 409 415 507", NULL, "Job"},
    {"pause", "Pause a job at a checkpoint", "200 409 415 507", NULL, "Job"},
    {"resume", "Let a paused job go on", "200 409 415 507", NULL, "Job"},
    {"job_events", "A job's events: a page, server-sent events, or lines; Last-Event-ID continues a stream", "200 204",
     NULL, "EventPage"},
    {"events", "Events of all jobs, from now on or behind Last-Event-ID", "200", NULL, "EventPage"},
    {"job_metrics", "The curves of a job, of iterations from..to; points thins them so that spikes stay", "200", NULL,
     "Metrics"},
    {"weights", "Final weights, or those of the newest or a given checkpoint", "200 304 409 507", NULL, "Weights"},
    {"manifest",
     "What a finished job's result came from: configuration, seed, build, instruction sets, data, and the digests of "
     "its events and "
     "weights",
     "200 409", NULL, "Manifest"},
    {"checkpoints", "A job's checkpoints, newest first", "200", NULL, "Checkpoints"},
    {"simulate", "Run a trained network on fresh or given trials", "200 400 409 413 415 507", "Simulation",
     "Simulated"},
    {"gradients", "Gradients of any network and batch under any rules, with their cosine to bptt's",
     "200 400 413 415 507", "GradientsRequest", "Gradients"},
    {"tasks", "What can be trained, every parameter explained", "200", NULL, NULL},
    {"rules", "How it can be trained, every parameter explained", "200", NULL, NULL},
    {"datasets", "The datasets by name, with their versions, who holds them, and what all of them take", "200", NULL,
     NULL},
    {"dataset", "One dataset: what its check found, its versions; or its file, as it was put", "200", NULL, NULL},
    {"dataset_jobs", "The jobs that rest on a version of a dataset (the newest one, or sha256), the newest first",
     "200", NULL, NULL},
    {"dataset_put",
     "Put a dataset: a safetensors file with inputs, targets, optional mask and test split. Under a name in use it "
     "becomes the newest version; jobs keep the one that they were accepted with",
     "200 201 413 415 507", NULL, NULL},
    {"dataset_delete",
     "Delete a dataset's name. Versions that jobs rest on stay until the last of these jobs is deleted", "204 415",
     NULL, NULL},
    {"livez", "Whether the daemon is alive", "200", NULL, NULL},
    {"readyz", "Whether submissions are accepted", "200", NULL, NULL},
    {"metrics", "Metrics for Prometheus", "200", NULL, NULL},
    {"version", "Build, instruction set, limits", "200", NULL, NULL},
    {"openapi", "This document", "200", NULL, NULL},
};

/*
 * What the transport and the checks that all routes share may answer: framing, token, Host and Origin, Accept, Expect,
 * rate, state.
 */
static const char *const always_statuses = "400 401 403 406 417 429 500 503";

static const char schemas_text[] =
    "{\"Problem\": {\"type\": \"object\", \"required\": [\"type\", \"title\", \"status\", \"detail\"], \"properties\": "
    "{\"type\": "
    "{\"type\": \"string\"}, \"title\": {\"type\": \"string\"},"
    " \"status\": {\"type\": \"integer\"}, \"detail\": {\"type\": \"string\"}, \"errors\": {\"type\": \"array\", "
    "\"items\": {\"type\": "
    "\"object\", \"required\": [\"pointer\", \"detail\"],"
    " \"properties\": {\"pointer\": {\"type\": \"string\"}, \"detail\": {\"type\": \"string\"}}}}}},"
    "\"Job\": {\"type\": \"object\", \"required\": [\"id\", \"status\", \"task\", \"network\", \"rule\", "
    "\"optimizer\", \"training\", "
    "\"created_at\", \"progress\", \"metrics\", \"links\"],"
    " \"properties\": {\"id\": {\"type\": \"string\"}, \"status\": {\"enum\": [\"queued\", \"running\", \"pausing\", "
    "\"paused\", "
    "\"cancelling\", \"succeeded\", \"failed\", \"cancelled\"]},"
    " \"created_at\": {\"type\": \"string\", \"format\": \"date-time\"}, "
    "\"progress\": {\"type\": \"object\", \"description\": \"iteration is the furthest of checkpoints and evaluations; "
    "while the job runs, of the updates made; evaluating is null, or within an evaluation its trials and how many of "
    "them are done\"}, "
    "\"metrics\": {\"type\": \"object\", \"description\": \"of the newest evaluation\", \"properties\": "
    "{\"loss\": {\"type\": [\"number\", \"null\"], \"description\": \"null before the first evaluation, where it is "
    "not "
    "finite, and where no step of the evaluated trials counts\"}, \"accuracy\": {\"type\": [\"number\", \"null\"], "
    "\"description\": \"null likewise, and where the task has none\"}}}, "
    "\"outcome\": {\"enum\": [\"trained\", \"diverged\", null], \"description\": \"of a job that succeeded: diverged "
    "where its loss ended above three times its loss at iteration 0, else trained; null before and otherwise\"}, "
    "\"links\": {\"type\": \"object\"}}},"
    "\"Validated\": {\"type\": \"object\", \"required\": [\"task\", \"network\", \"rule\", \"optimizer\", "
    "\"training\", \"estimate\", \"config_sha256\"], \"properties\": {\"estimate\": {\"type\": \"object\", "
    "\"description\": \"memory_bytes and checkpoint_bytes; multiply_adds of one update, forward_multiply_adds of its "
    "forward "
    "pass; method; training and evaluation: multiply_adds of all updates and of all evaluations, and seconds, where "
    "the "
    "job runs alone on so many threads at the rate that this daemon measured lately, null with seconds_reason before "
    "anything was measured\"}}},"
    "\"JobPage\": {\"type\": \"object\", \"required\": [\"jobs\", \"next\"], \"properties\": {\"jobs\": {\"type\": "
    "\"array\", \"items\": "
    "{\"$ref\": \"#/components/schemas/Job\"}},"
    " \"next\": {\"type\": [\"string\", \"null\"]}}},"
    "\"Event\": {\"type\": \"object\", \"required\": [\"id\", \"job\", \"seq\", \"type\", \"time\"], \"properties\": "
    "{\"id\": {\"type\": "
    "\"integer\"}, \"job\": {\"type\": \"string\"},"
    " \"seq\": {\"type\": \"integer\"}, \"type\": {\"type\": \"string\"}, \"time\": {\"type\": \"string\", \"format\": "
    "\"date-time\"}, \"loss\": {\"type\": [\"number\", \"null\"], \"description\": \"of a progress event, the "
    "evaluation's; null where no step of its trials counts, which meets no stop_when\"}, \"accuracy\": {\"type\": "
    "[\"number\", \"null\"], \"description\": \"null likewise, and where the task has none\"}, \"training_loss\": "
    "{\"type\": [\"number\", \"null\"], \"description\": \"of the last training batch; null at iteration 0, and where "
    "no "
    "step of the batch counts\"}, \"outcome\": {\"enum\": [\"trained\", \"diverged\"], \"description\": \"of the "
    "terminal "
    "event of a job that succeeded, as in the job\"}}},"
    "\"EventPage\": {\"type\": \"object\", \"required\": [\"events\", \"next\"], \"properties\": {\"events\": "
    "{\"type\": \"array\", "
    "\"items\": {\"$ref\": \"#/components/schemas/Event\"}},"
    " \"next\": {\"type\": [\"integer\", \"null\"]}}},"
    "\"Metrics\": {\"type\": \"object\", \"description\": \"a list of numbers a key; null where there is no such "
    "number, such as the loss of trials in which no step counts\", \"required\": [\"iteration\"], "
    "\"additionalProperties\": {\"type\": "
    "\"array\", \"items\": "
    "{\"type\": [\"number\", \"null\"]}}},"
    "\"Matrix\": {\"type\": \"array\", \"items\": {\"type\": \"array\", \"items\": {\"type\": [\"number\", "
    "\"null\"]}}},"
    "\"Vector\": {\"type\": \"array\", \"items\": {\"type\": [\"number\", \"null\"]}},"
    "\"Weights\": {\"type\": \"object\", \"required\": [\"job\", \"iteration\", \"sha256\", \"units\", \"inputs\", "
    "\"outputs\", \"W\", "
    "\"Win\", \"b\", \"Wout\", \"bout\", \"leak\", \"types\","
    " \"sign\"], \"properties\": {\"W\": {\"$ref\": \"#/components/schemas/Matrix\"}, \"Win\": {\"$ref\": "
    "\"#/components/schemas/Matrix\"}, \"Wout\": {\"$ref\": \"#/components/schemas/Matrix\"},"
    " \"bout\": {\"$ref\": \"#/components/schemas/Vector\"}, \"leak\": {\"$ref\": \"#/components/schemas/Vector\"}, "
    "\"mask\": {\"type\": \"array\", \"description\": \"1 where W has a synapse, else 0. With rewiring deep_r W also "
    "holds "
    "entries of 1e-12: places that were drawn anew and have learned nothing yet; they are 0 here\"}, \"density\": "
    "{\"type\": "
    "\"number\", \"description\": \"share of the synapses off the diagonal that exist\"}, \"activation\": {\"type\": "
    "\"string\"}, \"neuron\": {\"const\": \"leaky\", \"description\": \"v = leak v + (1 - leak) u\"}, "
    "\"discretization\": "
    "{\"type\": \"string\"}, \"tau\": {\"description\": \"as in the job\"}, \"readout\": {\"const\": \"linear\", "
    "\"description\": \"y = z Wout + bout\"}, \"task\": {\"type\": \"object\"}}},"
    "\"Manifest\": {\"type\": \"object\", \"required\": [\"job\", \"status\", \"config\", \"config_sha256\", \"seed\", "
    "\"build\", "
    "\"instruction_sets\", \"dataset_sha256\", \"events\","
    " \"weights_sha256\", \"attempts\", \"training_seconds\"]},"
    "\"Checkpoints\": {\"type\": \"object\", \"required\": [\"checkpoints\"], \"properties\": {\"checkpoints\": "
    "{\"type\": \"array\", "
    "\"items\": {\"type\": \"object\","
    " \"required\": [\"iteration\", \"loss\", \"size\", \"sha256\"]}}}},"
    "\"Simulated\": {\"type\": \"object\", \"required\": [\"job\", \"iteration\", \"steps\", \"every\", \"trials\", "
    "\"units\", \"labels\", "
    "\"inputs\", \"rates\", \"outputs\"]},"
    "\"GradientsRequest\": {\"type\": \"object\", \"required\": [\"network\", \"inputs\", \"targets\", \"loss\", "
    "\"rules\"], "
    "\"additionalProperties\": false, \"properties\": {"
    " \"network\": {\"type\": \"object\", \"required\": [\"W\", \"Win\", \"Wout\", \"bout\", \"leak\"], "
    "\"additionalProperties\": false, "
    "\"properties\": {"
    " \"W\": {\"$ref\": \"#/components/schemas/Matrix\"}, \"Win\": {\"$ref\": \"#/components/schemas/Matrix\"}, \"b\": "
    "{\"anyOf\": "
    "[{\"$ref\": \"#/components/schemas/Vector\"}, {\"type\": \"null\"}]},"
    " \"Wout\": {\"$ref\": \"#/components/schemas/Matrix\"}, \"bout\": {\"$ref\": \"#/components/schemas/Vector\"}, "
    "\"leak\": {\"$ref\": "
    "\"#/components/schemas/Vector\"},"
    " \"types\": {\"type\": [\"array\", \"null\"], \"items\": {\"type\": \"integer\", \"minimum\": 0}}, "
    "\"activation\": {\"enum\": "
    "[\"relu\", \"tanh\"]},"
    " \"feedback\": {\"anyOf\": [{\"$ref\": \"#/components/schemas/Matrix\"}, {\"type\": \"null\"}]}}},"
    " \"inputs\": {\"type\": \"array\", \"minItems\": 1, \"items\": {\"$ref\": \"#/components/schemas/Matrix\"}}, "
    "\"targets\": {\"type\": "
    "\"array\", \"minItems\": 1},"
    " \"mask\": {\"anyOf\": [{\"$ref\": \"#/components/schemas/Matrix\"}, {\"type\": \"null\"}]}, \"loss\": {\"enum\": "
    "[\"cross_entropy\", "
    "\"mse\"]},"
    " \"rules\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": 64, \"items\": {\"$ref\": "
    "\"#/components/schemas/Rule\"}}}},"
    "\"Gradients\": {\"type\": \"object\", \"required\": [\"loss\", \"rules\"], \"properties\": {\"loss\": {\"type\": "
    "[\"number\", "
    "\"null\"]}, \"rules\": {\"type\": \"array\", \"items\": {"
    " \"type\": \"object\", \"required\": [\"rule\", \"gradients\", \"cosine\"]}}}}}";

static const struct operation *operation_find(const char *route) {
    for (size_t i = 0; i < COUNT(operations); i++) {
        if (strcmp(operations[i].route, route) == 0) {
            return &operations[i];
        }
    }
    return NULL;
}

static json_t *reference(const char *schema) {
    char text[96];
    snprintf(text, sizeof text, "#/components/schemas/%s", schema);
    return json_pack("{s:s}", "$ref", text);
}

/* The name within {} of a path, or false. */
static bool path_parameter(const char *path, char name[32]) {
    const char *open = strchr(path, '{'), *close = open == NULL ? NULL : strchr(open, '}');
    if (close == NULL) {
        return false;
    }
    snprintf(name, 32, "%.*s", (int)(close - open - 1), open + 1);
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

/* The schema of a parameter's type as the route table writes it; see struct route. */
static json_t *query_schema(const char *type) {
    static const struct {
        const char *type;
        const char *(*name)(int index);
        int count;
    } tables[] = {
        {"status", status_at, JOB_CANCELLED + 1}, {"task", task_at, TASK_TYPES}, {"rule", rule_at, RULE_TYPES}};
    for (size_t i = 0; i < COUNT(tables); i++) {
        if (strcmp(type, tables[i].type) == 0) {
            return json_pack("{s:s, s:o}", "type", "string", "enum", names_list(tables[i].name, tables[i].count));
        }
    }
    if (strchr(type, '|') == NULL) {
        return json_pack("{s:s}", "type", type);
    }
    return json_pack("{s:s, s:o}", "type", "string", "enum", words_list(type));
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
    if (path_parameter(route->path, name)) {
        json_t *schema = json_pack("{s:s}", "type", "string");
        if (strcmp(name, "name") == 0) {
            json_object_set_new(schema, "pattern", json_string("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"));
        }
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", "path", "required", 1, "schema", schema));
    }
    for (const char *word = route->query; word != NULL && *word != '\0';) {
        size_t length = strcspn(word, " ");
        json_array_append_new(list, query_parameter(word, length));
        word += length + (word[length] == ' ');
    }
    return list;
}

static json_t *success_content(const struct route *route, const struct operation *operation) {
    json_t *content = json_object();
    for (size_t i = 0; i < ROUTE_TYPES_MAX && route->types[i] != NULL; i++) {
        const char *type = route->types[i];
        bool is_json = strcmp(type, "application/json") == 0;
        json_t *media = json_object();
        if (strcmp(type, "text/event-stream") != 0) { /* a stream's parts have no words in OpenAPI 3.1 */
            json_object_set_new(media, "schema",
                                is_json && operation->response != NULL
                                    ? reference(operation->response)
                                    : json_pack("{s:s}", "type", is_json ? "object" : "string"));
        }
        json_object_set_new(content, type, media);
    }
    return content;
}

/*
 * What may be called with the id or name that this answer tells: the routes whose path has it as its parameter. NULL:
 * nothing.
 */
static json_t *links_of(const struct route *route) {
    const char *parameter = strcmp(route->name, "submit") == 0        ? "id"
                            : strcmp(route->name, "dataset_put") == 0 ? "name"
                                                                      : NULL;
    json_t *links = parameter == NULL ? NULL : json_object();
    for (size_t i = 0; links != NULL && i < route_count; i++) {
        char name[32], value[48];
        if (path_parameter(route_table[i].path, name) && strcmp(name, parameter) == 0) {
            snprintf(value, sizeof value, "$response.body#/%s", parameter);
            json_object_set_new(
                links, route_table[i].name,
                json_pack("{s:s, s:{s:s}}", "operationId", route_table[i].name, "parameters", parameter, value));
        }
    }
    return links;
}

static void put_response(json_t *responses, const struct route *route, const struct operation *operation, int status) {
    char code[8];
    snprintf(code, sizeof code, "%d", status);
    json_t *response = json_pack("{s:s}", "description", http_status_text(status));
    if (status == 200 || status == 201) {
        json_t *links = links_of(route);
        json_object_set_new(response, "content", success_content(route, operation));
        if (links != NULL) {
            json_object_set_new(response, "links", links);
        }
    } else if (status >= 400) {
        json_object_set_new(response, "content",
                            json_pack("{s:{s:o}}", "application/problem+json", "schema", reference("Problem")));
    }
    json_object_set_new(responses, code, response);
}

static json_t *responses_of(const struct route *route, const struct operation *operation) {
    json_t *responses = json_object();
    /* 404 for what a path names; 422 for a wrong query or body, at which public routes do not look */
    const char *const lists[] = {operation->statuses, always_statuses, strchr(route->path, '{') != NULL ? "404" : "",
                                 route->role == ROLE_PUBLIC || route->anytime ? "" : "422"};
    for (size_t i = 0; i < COUNT(lists); i++) {
        for (const char *at = lists[i]; *at != '\0'; at += at[3] == ' ' ? 4 : 3) {
            put_response(responses, route, operation, atoi(at));
        }
    }
    return responses;
}

static json_t *body_of(const struct route *route, const struct operation *operation) {
    if (route->body == BODY_OCTETS) {
        return json_pack("{s:b, s:{s:{s:{s:s, s:s}}}}", "required", 1, "content", "application/octet-stream", "schema",
                         "type", "string", "format", "binary");
    }
    return json_pack("{s:b, s:{s:{s:o}}}", "required", route->body == BODY_JSON, "content", "application/json",
                     "schema", reference(operation->request));
}

static json_t *operation_document(const struct route *route, const struct operation *operation) {
    json_t *document = json_pack("{s:s, s:s, s:o, s:o}", "operationId", route->name, "summary", operation->summary,
                                 "parameters", parameters_of(route), "responses", responses_of(route, operation));
    if (route->body == BODY_OCTETS || operation->request != NULL) {
        json_object_set_new(document, "requestBody", body_of(route, operation));
    }
    if (route->role == ROLE_PUBLIC) {
        json_object_set_new(document, "security", json_array());
    } else {
        json_object_set_new(document, "x-role", json_string(role_name(route->role)));
    }
    return document;
}

json_t *openapi_document(void) {
    static const char *const methods[] = {"get", "post", "put", "delete"};
    json_t *paths = json_object(), *schemas = json_loads(schemas_text, 0, NULL);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &route_table[i];
        const struct operation *operation = operation_find(route->name);
        json_t *path = json_object_get(paths, route->path);
        if (path == NULL) {
            path = json_object();
            json_object_set_new(paths, route->path, path);
        }
        if (operation != NULL) {
            json_object_set_new(path, methods[route->method], operation_document(route, operation));
        }
    }
    json_object_set_new(schemas, "JobSubmission", job_schema());
    json_object_set_new(schemas, "Rule", rule_schema());
    json_object_set_new(schemas, "Simulation", simulate_schema());
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s}}, s:[{s:[]}, {}], s:o, s:{s:o, s:{s:{s:s, s:s}}}}", "openapi",
                     "3.1.0", "info", "title", "modpropd", "version", MODPROP_VERSION, "description",
                     "Trains recurrent networks with biologically plausible learning rules.", "license", "name", "MIT",
                     "security", "bearer", "paths", paths, "components", "schemas", schemas, "securitySchemes",
                     "bearer", "type", "http", "scheme", "bearer");
}
