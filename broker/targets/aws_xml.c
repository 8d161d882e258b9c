/*
 * The answers of STS and IAM, by expat. The parser is kept to what they send: UTF-8, one namespace,
 * no document type and so no entities of its own, few elements. Its memory holds credentials and is
 * wiped before it is freed.
 *
 * Object stores that have an STS of their own may answer without any namespace, and refuse as they
 * refuse at S3 (Ceph's gateway does both): that is read too, if all of the document is so.
 */
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "targets/aws_internal.h"

#define SEPARATOR ' '
#define XML_MAX ((size_t)64 * 1024)
#define DEPTH_MAX 8
#define PATH_MAX_BYTES ((size_t)512)
#define TEXT_MAX ((size_t)16 * 1024)
#define ELEMENTS_MAX 200

#define WEB_IDENTITY "/AssumeRoleWithWebIdentityResponse"
#define WEB_IDENTITY_RESULT WEB_IDENTITY "/AssumeRoleWithWebIdentityResult"
#define ROLE "/AssumeRoleResponse"
#define ROLE_RESULT ROLE "/AssumeRoleResult"
#define FAILURE "/ErrorResponse"
#define BARE_FAILURE "/Error" /* of an object store */

#define LIST "/ListRolePoliciesResponse"
#define LISTED LIST "/ListRolePoliciesResult"

/* Who answers, and the roots of its good answers. */
struct service {
    const char *namespace;
    const char *roots[4]; /* ended by NULL */
    bool may_be_bare;     /* no namespace at all */
};

#define STS_NAMESPACE "https://sts.amazonaws.com/doc/2011-06-15/"

static const struct service sts[] = {
    [AWS_STS_WEB_IDENTITY] = { STS_NAMESPACE, { WEB_IDENTITY, NULL }, true },
    [AWS_STS_ROLE] = { STS_NAMESPACE, { ROLE, NULL }, true },
};
static const struct service iam = {
    "https://iam.amazonaws.com/doc/2010-05-08/",
    { LIST, "/PutRolePolicyResponse", "/DeleteRolePolicyResponse", NULL },
    false,
};

#define FIELD(member) offsetof(struct aws_answer, member)

/* What both of STS's actions answer, and an error. */
#define ROLE_ROWS(result)                                                                          \
    { result "/Credentials/AccessKeyId", FIELD(access_key_id), false },                            \
        { result "/Credentials/SecretAccessKey", FIELD(secret_access_key), false },                \
        { result "/Credentials/SessionToken", FIELD(session_token), false },                       \
        { result "/Credentials/Expiration", FIELD(expiration), false },                            \
        { result "/AssumedRoleUser/Arn", FIELD(assumed_role), false },                             \
        { result "/SourceIdentity", FIELD(source_identity), false },                               \
    {                                                                                              \
        result "/PackedPolicySize", FIELD(packed_policy_size), false                               \
    }
#define ERROR_ROWS(place)                                                                          \
    { place "/Error/Code", FIELD(error_code), false },                                             \
    {                                                                                              \
        place "/Error/Message", FIELD(error_message), false                                        \
    }

static const struct wanted {
    const char *path;
    size_t field;
    bool is_list; /* texts that may come often: each with a space behind it */
} wanted[] = {
    ROLE_ROWS(WEB_IDENTITY_RESULT),
    ROLE_ROWS(ROLE_RESULT),
    { WEB_IDENTITY_RESULT "/SubjectFromWebIdentityToken", FIELD(subject), false },
    { WEB_IDENTITY_RESULT "/Audience", FIELD(audience), false },
    /* an error is one wherever it stands */
    ERROR_ROWS(FAILURE),
    { BARE_FAILURE "/Code", FIELD(error_code), false },
    { BARE_FAILURE "/Message", FIELD(error_message), false },
    ERROR_ROWS(WEB_IDENTITY),
    ERROR_ROWS(WEB_IDENTITY_RESULT),
    ERROR_ROWS(ROLE),
    ERROR_ROWS(ROLE_RESULT),
    { LISTED "/PolicyNames/member", FIELD(policy_names), true },
};

struct reading {
    const struct service *service;
    XML_Parser parser;
    struct arena *arena;
    struct aws_answer *answer;
    struct error *error;
    const struct wanted *inside; /* the wanted element whose text is being read */
    struct buf path;             /* "/ROOT/CHILD" of where we are */
    struct buf text;
    size_t depth;
    size_t element_count;
    bool is_bare; /* the root has no namespace */
};

/* expat's memory: each piece knows its size, so that it can be wiped. */

union piece {
    size_t size;
    max_align_t align;
};

static void *piece_new(size_t size)
{
    union piece *piece;

    if (size > SIZE_MAX - sizeof(*piece))
        return NULL;
    piece = malloc(sizeof(*piece) + size);
    if (!piece)
        return NULL;
    piece->size = size;
    return piece + 1;
}

static void piece_free(void *data)
{
    union piece *piece = data;

    if (!data)
        return;
    piece--;
    secret_wipe(data, piece->size);
    free(piece);
}

static void *piece_resize(void *data, size_t size)
{
    void *grown = piece_new(size);
    size_t old_size;

    if (!grown || !data)
        return grown;
    old_size = ((const union piece *)data - 1)->size;
    memcpy(grown, data, old_size < size ? old_size : size);
    piece_free(data);
    return grown;
}

static const XML_Memory_Handling_Suite memory = { piece_new, piece_resize, piece_free };

/* Events. */

static void refuse(struct reading *reading, enum error_code code, const char *what)
{
    if (reading->error->code == ERROR_NONE)
        (void)error_set(reading->error, code, "the target's XML: %s", what);
    (void)XML_StopParser(reading->parser, XML_FALSE);
}

static struct str *field_of(const struct reading *reading, const struct wanted *row)
{
    return (struct str *)(void *)((char *)reading->answer + row->field);
}

static const struct wanted *find_wanted(struct str path)
{
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (str_eq(path, str_from(wanted[i].path)))
            return &wanted[i];
    return NULL;
}

/* The name of an element of the document's own namespace; others get a name that no path has. */
static struct str local_name(const struct reading *reading, const char *name)
{
    struct str space;
    struct str local;
    bool has_space = str_cut(str_from(name), SEPARATOR, &space, &local);

    if (has_space == reading->is_bare)
        return STR("?");
    if (!has_space)
        return str_from(name);
    return str_eq(space, str_from(reading->service->namespace)) ? local : STR("?");
}

static bool is_root(const struct reading *reading, struct str path)
{
    for (size_t i = 0; reading->service->roots[i]; i++)
        if (str_eq(path, str_from(reading->service->roots[i])))
            return true;
    return str_eq(path, reading->is_bare ? STR(BARE_FAILURE) : STR(FAILURE));
}

static void on_start(void *context, const char *name, const char **attributes)
{
    struct reading *reading = context;

    (void)attributes;
    if (reading->inside) {
        refuse(reading, ERROR_SYNTAX, "an element where text is expected");
        return;
    }
    if (++reading->depth > DEPTH_MAX || ++reading->element_count > ELEMENTS_MAX) {
        refuse(reading, ERROR_LIMIT, "too many elements");
        return;
    }
    if (reading->depth == 1)
        reading->is_bare = reading->service->may_be_bare && !strchr(name, SEPARATOR);
    buf_add_byte(&reading->path, '/');
    buf_add(&reading->path, local_name(reading, name));
    if (!buf_is_ok(&reading->path)) {
        refuse(reading, ERROR_LIMIT, "a name is too long");
        return;
    }
    if (reading->depth == 1 && !is_root(reading, buf_str(&reading->path))) {
        refuse(reading, ERROR_SYNTAX, "neither an answer nor an error of who was asked");
        return;
    }
    reading->inside = find_wanted(buf_str(&reading->path));
}

/* Keep the text of the wanted element that ends. */
static void keep_text(struct reading *reading)
{
    struct str *field = field_of(reading, reading->inside);

    if (field->data && !reading->inside->is_list) {
        refuse(reading, ERROR_SYNTAX, "an element is there twice");
        return;
    }
    if (!buf_is_ok(&reading->text)) {
        refuse(reading, ERROR_LIMIT, "a text is too long");
        return;
    }
    if (reading->inside->is_list)
        *field = arena_printf(reading->arena, STR_FMT STR_FMT " ", (int)field->len,
                              field->data ? field->data : "", STR_ARG(buf_str(&reading->text)));
    else
        *field = arena_copy(reading->arena, buf_str(&reading->text));
    if (!field->data)
        refuse(reading, ERROR_MEMORY, "no memory");
}

static void leave_path(struct buf *path)
{
    struct str parent = buf_str(path);
    char kept[PATH_MAX_BYTES];

    while (parent.len > 0 && parent.data[parent.len - 1] != '/')
        parent.len--;
    parent.len--; /* there is one: on_start() put it there */
    memcpy(kept, parent.data, parent.len);
    parent.data = kept;
    buf_clear(path);
    buf_add(path, parent);
}

static void on_end(void *context, const char *name)
{
    struct reading *reading = context;

    (void)name;
    if (reading->error->code != ERROR_NONE)
        return; /* expat may still tell of the end of the element it was stopped in */
    if (reading->inside)
        keep_text(reading);
    reading->inside = NULL;
    buf_clear(&reading->text);
    leave_path(&reading->path);
    reading->depth--;
}

static void on_text(void *context, const char *text, int len)
{
    struct reading *reading = context;

    if (reading->inside)
        buf_add(&reading->text, (struct str){ text, (size_t)len });
}

static void on_doctype(void *context, const char *name, const char *system, const char *public_id,
                       int has_internal_subset)
{
    (void)name;
    (void)system;
    (void)public_id;
    (void)has_internal_subset;
    refuse(context, ERROR_SYNTAX, "a document type");
}

static void on_instruction(void *context, const char *target, const char *data)
{
    (void)target;
    (void)data;
    refuse(context, ERROR_SYNTAX, "a processing instruction");
}

static void set_handlers(struct reading *reading)
{
    XML_SetUserData(reading->parser, reading);
    XML_SetElementHandler(reading->parser, on_start, on_end);
    XML_SetCharacterDataHandler(reading->parser, on_text);
    XML_SetStartDoctypeDeclHandler(reading->parser, on_doctype);
    XML_SetProcessingInstructionHandler(reading->parser, on_instruction);
    (void)XML_SetParamEntityParsing(reading->parser, XML_PARAM_ENTITY_PARSING_NEVER);
}

static bool run(struct reading *reading, struct str xml)
{
    enum XML_Status status =
        XML_Parse(reading->parser, xml.data ? xml.data : "", (int)xml.len, XML_TRUE);

    if (reading->error->code != ERROR_NONE)
        return false;
    if (status == XML_STATUS_OK)
        return true;
    if (XML_GetErrorCode(reading->parser) == XML_ERROR_NO_MEMORY)
        return error_set(reading->error, ERROR_MEMORY, "the target's XML: no memory");
    return error_set(reading->error, ERROR_SYNTAX, "the target's XML: %s in line %lu",
                     XML_ErrorString(XML_GetErrorCode(reading->parser)),
                     XML_GetCurrentLineNumber(reading->parser));
}

static bool parse(const struct service *service, struct str xml, struct arena *arena,
                  struct aws_answer *answer, struct error *error)
{
    struct reading reading = {
        .service = service,
        .arena = arena,
        .answer = answer,
        .error = error,
    };
    bool is_good;

    *answer = (struct aws_answer){ 0 };
    if (xml.len > XML_MAX)
        return error_set(error, ERROR_LIMIT, "the target's XML: more than %zu bytes", XML_MAX);
    reading.parser = XML_ParserCreate_MM("UTF-8", &memory, (const char[]){ SEPARATOR, '\0' });
    if (!reading.parser)
        return error_set(error, ERROR_MEMORY, "the target's XML: no memory");
    buf_init(&reading.path, PATH_MAX_BYTES);
    buf_init(&reading.text, TEXT_MAX);
    set_handlers(&reading);
    is_good = run(&reading, xml);
    XML_ParserFree(reading.parser);
    buf_release(&reading.path);
    buf_release(&reading.text);
    return is_good;
}

bool aws_xml_parse(struct str xml, enum aws_sts_action action, struct arena *arena,
                   struct aws_answer *answer, struct error *error)
{
    return parse(&sts[action], xml, arena, answer, error);
}

bool aws_xml_parse_iam(struct str xml, struct arena *arena, struct aws_answer *answer,
                       struct error *error)
{
    return parse(&iam, xml, arena, answer, error);
}
