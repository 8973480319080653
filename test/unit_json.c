/* json.h and writer.h: texts of any bytes, containers, buffers that fill up,
 * descriptors that take nothing. */
#include "json.h"
#include "support.h"

static char text[1 << 16];

static struct pym_json json;
static int fd;

static void begin(void)
{
    fd = memfd_create("json", MFD_CLOEXEC);
    pym_json_begin(&json, fd);
}

static void ends_as(const char *wanted)
{
    CHECK(pym_json_finish(&json), "everything was written");
    read_back(fd, text, sizeof text);
    CHECK_STR(text, wanted, "the document");
}

static void containers_nest(void)
{
    begin();
    pym_json_open(&json, NULL, '{');
    pym_json_number(&json, "a", 0);
    pym_json_number(&json, "b", UINT64_MAX);
    pym_json_open(&json, "c", '[');
    pym_json_close(&json, ']');
    pym_json_open(&json, "d", '[');
    pym_json_number(&json, NULL, 1);
    pym_json_open(&json, NULL, '{');
    pym_json_null(&json, "e");
    pym_json_close(&json, '}');
    pym_json_text(&json, NULL, "f");
    pym_json_close(&json, ']');
    pym_json_address(&json, "g", 0xabc);
    pym_json_close(&json, '}');
    ends_as("{\"a\":0,\"b\":18446744073709551615,\"c\":[],\"d\":[1,{\"e\":null},\"f\"],"
            "\"g\":\"0xabc\"}\n");
}

static void becomes(const char *value, const char *wanted)
{
    char document[256];
    begin();
    pym_json_text(&json, NULL, value);
    (void)snprintf(document, sizeof document, "\"%s\"\n", wanted);
    ends_as(document);
}

static void texts_are_escaped(void)
{
    becomes("", "");
    becomes("a \"b\" \\ c/", "a \\u0022b\\u0022 \\u005c c/");
    becomes("\n\t\x01\x1f\x7f", "\\u000a\\u0009\\u0001\\u001f\x7f");
}

static void only_utf8_goes_out(void)
{
    becomes("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
            "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
    becomes("\xff", "\\ufffd");
    becomes("a\x80z", "a\\ufffdz");
    becomes("\xc3", "\\ufffd");                       /* cut off */
    becomes("\xe2\x82", "\\ufffd\\ufffd");            /* cut off later */
    becomes("\xe2\x82z", "\\ufffd\\ufffdz");          /* and gone on */
    becomes("\xc0\x80", "\\ufffd\\ufffd");            /* longer than need be */
    becomes("\xe0\x9f\xbf", "\\ufffd\\ufffd\\ufffd"); /* so, too */
    becomes("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"); /* half of a pair */
    becomes("\xf0\x8f\xbf\xbf", "\\ufffd\\ufffd\\ufffd\\ufffd");
    becomes("\xf4\x90\x80\x80",
            "\\ufffd\\ufffd\\ufffd\\ufffd"); /* beyond what there is */
}

static void long_documents_are_whole(void)
{
    static char wanted[sizeof text];
    char *at = wanted;
    begin();
    pym_json_open(&json, NULL, '[');
    *at++ = '[';
    for (int i = 0; i < 3000; i++) {
        pym_json_number(&json, NULL, (uint64_t)i * 7919);
        at += sprintf(at, "%s%d", i != 0 ? "," : "", i * 7919);
    }
    pym_json_close(&json, ']');
    strcpy(at, "]\n");
    ends_as(wanted);
}

static void a_deaf_descriptor_is_told(void)
{
    pym_json_begin(&json, -1);
    pym_json_text(&json, NULL, "x");
    CHECK(!pym_json_finish(&json), "nothing was written");
    pym_json_begin(&json, -1);
    for (int i = 0; i < 3000; i++) {
        pym_json_number(&json, NULL, 1);
    }
    CHECK(!pym_json_finish(&json), "nothing was written of more than a buffer");
}

static const struct tap_case cases[] = {
    {"containers nest", containers_nest},
    {"texts are escaped", texts_are_escaped},
    {"only UTF-8 goes out", only_utf8_goes_out},
    {"long documents are whole", long_documents_are_whole},
    {"a deaf descriptor is told", a_deaf_descriptor_is_told},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
