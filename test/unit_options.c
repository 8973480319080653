/* options.h: the parser of PYMALLOC, getting, setting, the list. */
#include "options.h"
#include "support.h"

static char warnings[16384];

/* Parses text; what it has to say is in warnings. */
static size_t parse(const char *text)
{
    int fd = memfd_create("stderr", MFD_CLOEXEC), saved = dup(2);
    dup2(fd, 2);
    pym_options_parse(text);
    dup2(saved, 2);
    close(saved);
    read_back(fd, warnings, sizeof warnings);
    size_t lines = 0;
    for (const char *at = warnings; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    return lines;
}

static void parses(const char *text, size_t cache, size_t decay)
{
    CHECK_EQ(parse("cache:1000,decay:1000"), 0, "the start");
    CHECK_EQ(parse(text), 0, "warnings of \"%s\": %s", text, warnings);
    CHECK_EQ(PYM_OPTION(cache), cache, "cache after \"%s\"", text);
    CHECK_EQ(PYM_OPTION(decay), decay, "decay after \"%s\"", text);
}

static void good_text_is_taken(void)
{
    parses("", 1000, 1000);
    parses(",", 1000, 1000);
    parses(",,,", 1000, 1000);
    parses("cache:0", 0, 1000);
    parses("cache:1", 1, 1000);
    parses("cache:00012", 12, 1000);
    parses("cache:5,decay:6", 5, 6);
    parses("decay:6,cache:5", 5, 6);
    parses("cache:5,cache:6", 6, 1000);
    parses(",cache:5,", 5, 1000);
    parses("cache:1k", 1024, 1000);
    parses("cache:1K", 1024, 1000);
    parses("cache:3m", 3 << 20, 1000);
    parses("cache:1g", 1 << 30, 1000);
    parses("cache:1073741824", 1 << 30, 1000); /* the most there may be */
    parses("decay:3600000", 1000, 3600000);
}

static void flags_may_stand_alone(void)
{
    CHECK_EQ(parse("stats"), 0, "stats: %s", warnings);
    CHECK_EQ(PYM_OPTION(stats), 1, "stats");
    CHECK_EQ(parse("stats:0"), 0, "stats:0: %s", warnings);
    CHECK_EQ(PYM_OPTION(stats), 0, "stats:0");
    CHECK_EQ(parse("stats:2"), 1, "stats:2 is out of range");
    CHECK_EQ(PYM_OPTION(stats), 0, "stats:2");
}

static void reports_have_a_word(void)
{
    char text[64];
    CHECK_EQ(parse("stats:json"), 0, "stats:json: %s", warnings);
    CHECK_EQ(PYM_OPTION(stats), PYM_REPORT_JSON, "stats:json");
    CHECK_EQ(pym_options_get("stats", text, sizeof text), 0, "stats");
    CHECK_STR(text, "json", "what was set");
    CHECK_EQ(parse("stats:JSON,stats:jso,stats:json1,stats:"), 4, "others: %s",
             warnings);
    CHECK_EQ(parse("cache:json"), 1, "it is no other option's");
    CHECK_EQ(pym_options_set("stats", "0"), 0, "stats:0");
}

static void texts_are_kept(void)
{
    char text[PYM_OPTION_TEXT_MOST + 1], item[PYM_OPTION_TEXT_MOST + 20];
    CHECK(PYM_OPTION_TEXT_OF(stats_file) == NULL, "none at first");
    CHECK_EQ(parse("stats_file:/a/b:%p.json"), 0, "%s", warnings);
    CHECK_STR(PYM_OPTION_TEXT_OF(stats_file), "/a/b:%p.json", "a text");
    CHECK_EQ(pym_options_get("stats_file", text, sizeof text), 0, "got");
    CHECK_STR(text, "/a/b:%p.json", "what was set");
    CHECK_EQ(pym_options_get("stats_file", text, 12), ERANGE, "no room");
    CHECK_EQ(pym_options_set("stats_file", "c"), EPERM, "only at the start");
    for (size_t length = PYM_OPTION_TEXT_MOST; length <= PYM_OPTION_TEXT_MOST + 1;
         length++) {
        memset(text, 'x', sizeof text);
        (void)snprintf(item, sizeof item, "stats_file:%.*sx", (int)length - 1, text);
        CHECK_EQ(parse(item), length > PYM_OPTION_TEXT_MOST, "%zu bytes", length);
        CHECK_EQ(strlen(PYM_OPTION_TEXT_OF(stats_file)), PYM_OPTION_TEXT_MOST,
                 "of %zu bytes", length);
    }
    CHECK_EQ(parse("stats_file:"), 0, "none again: %s", warnings);
    CHECK(PYM_OPTION_TEXT_OF(stats_file) == NULL, "none again");
    CHECK_EQ(parse("stats_file"), 1, "no value");
}

static void warns(const char *text, const char *word)
{
    CHECK_EQ(parse("cache:1000,decay:1000"), 0, "the start");
    CHECK_EQ(parse(text), 1, "warnings of \"%s\"", text);
    CHECK(strstr(warnings, word) != NULL, "\"%s\" says: %s", text, warnings);
    CHECK_EQ(PYM_OPTION(cache), 1000, "cache after \"%s\"", text);
    CHECK_EQ(PYM_OPTION(decay), 1000, "decay after \"%s\"", text);
}

static void bad_text_warns_and_changes_nothing(void)
{
    warns("cache", "cache");
    warns("cache:", "cache");
    warns("cache:x", "cache:x");
    warns("cache:-1", "cache:-1");
    warns("cache:+1", "cache:+1");
    warns("cache: 1", "cache: 1");
    warns("cache:1 ", "cache:1 ");
    warns("cache:1.5", "cache:1.5");
    warns("cache:0x10", "cache:0x10");
    warns("cache:1kk", "cache:1kk");
    warns("cache:k", "cache:k");
    warns("cache:1t", "cache:1t");
    warns("cache:1073741825", "cache"); /* one too many */
    warns("cache:2g", "cache:2g");
    warns("cache:18446744073709551615", "cache");
    warns("cache:18446744073709551616", "cache"); /* wraps to 0 */
    warns("cache:18014398509481985k", "cache");   /* wraps to 1 KiB */
    warns("cache:99999999999999999999999999999", "cache");
    warns("decay:1k", "decay:1k");
    warns("decay:3600001", "decay");
    warns("cach:1", "cach");
    warns("caches:1", "caches");
    warns("CACHE:1", "CACHE");
    warns(" cache:1", " cache");
    warns(":1", ":1");
    warns(":", ":");
    warns("cache=1", "cache=1");
}

static void each_bad_item_warns(void)
{
    CHECK_EQ(parse("a:1,cache:7,b:2,decay:x,c"), 4, "warnings: %s", warnings);
    CHECK_EQ(PYM_OPTION(cache), 7, "the good one among them");
}

/* Any bytes at all: nothing but warnings may come of them. */
static void random_text_is_survived(void)
{
    static const char alphabet[] = "cachedecay:,,::0123456789kmg \xff%sn\t";
    struct rng rng = {77};
    for (int i = 0; i < 3000; i++) {
        char text[400];
        size_t length = rng_below(&rng, sizeof text);
        for (size_t k = 0; k < length; k++) {
            text[k] = alphabet[rng_below(&rng, sizeof alphabet - 1)];
        }
        text[length < sizeof text ? length : sizeof text - 1] = '\0';
        parse(text);
        CHECK(PYM_OPTION(cache) <= (size_t)1 << 30, "cache is %zu", PYM_OPTION(cache));
        CHECK(PYM_OPTION(decay) <= 3600000, "decay is %zu", PYM_OPTION(decay));
    }
}

static void what_is_set_can_be_got(void)
{
    static const char *const values[] = {"0", "1", "4096", "1048576", "1073741824"};
    char text[64];
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        CHECK_EQ(pym_options_set("cache", values[i]), 0, "%s", values[i]);
        CHECK_EQ(pym_options_get("cache", text, sizeof text), 0, "%s", values[i]);
        CHECK_STR(text, values[i], "what was set");
    }
    CHECK_EQ(pym_options_set("cache", "2g"), EINVAL, "out of range");
    CHECK_EQ(pym_options_set("help", "1"), EPERM, "only at the start");
    CHECK_EQ(pym_options_set("help", "7"), EINVAL, "bad before forbidden");
    CHECK_EQ(pym_options_set("nothing", "1"), ENOENT, "no such option");
    CHECK_EQ(pym_options_get("nothing", text, sizeof text), ENOENT, "no such option");
}

static void the_list_is_whole(void)
{
    static const char *const names[] = {
#define NAME(name, kind, initial, least, most, settable, meaning) #name,
        PYM_OPTION_LIST(NAME)
#undef NAME
    };
    static const char *const meanings[] = {
#define MEANING(name, kind, initial, least, most, settable, meaning) meaning,
        PYM_OPTION_LIST(MEANING)
#undef MEANING
    };
    int fd = memfd_create("list", MFD_CLOEXEC);
    pym_options_list(fd);
    read_back(fd, warnings, sizeof warnings);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        CHECK(strstr(warnings, names[i]) != NULL, "%s is not listed", names[i]);
        CHECK(strstr(warnings, meanings[i]) != NULL, "the meaning of %s is cut",
              names[i]);
    }
}

static void defaults_are_in_range(void)
{
#define IN_RANGE(name, kind, initial, least, most, settable, meaning)                  \
    CHECK((size_t)(initial) >= (size_t)(least) && (size_t)(initial) <= (size_t)(most), \
          "the default of %s", #name);
    PYM_OPTION_LIST(IN_RANGE)
#undef IN_RANGE
}

static const struct tap_case cases[] = {
    {"good text is taken", good_text_is_taken},
    {"flags may stand alone", flags_may_stand_alone},
    {"reports have a word", reports_have_a_word},
    {"texts are kept", texts_are_kept},
    {"bad text warns and changes nothing", bad_text_warns_and_changes_nothing},
    {"each bad item warns", each_bad_item_warns},
    {"random text is survived", random_text_is_survived},
    {"what is set can be got", what_is_set_can_be_got},
    {"the list is whole", the_list_is_whole},
    {"defaults are in range", defaults_are_in_range},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
