#include "observe.h"

#include "options.h"
#include "process.h"
#include "profile.h"
#include "profile_text.h"
#include "server.h"
#include "snapshot.h"
#include "stats.h"

#include <unistd.h>

/* Programs close standard error before the report is due: it goes to a copy. */
static int report_to = STDERR_FILENO;

static void keep_standard_error(void)
{
    int copy = pym_process_copy(STDERR_FILENO);
    report_to = copy >= 0 ? copy : STDERR_FILENO;
}

static void write_to(int fd)
{
    if (PYM_OPTION(stats) == PYM_REPORT_JSON) {
        (void)pym_snapshot_write(fd, PYMALLOC_JSON_MAP, NULL);
    } else {
        pym_stats_report(fd);
    }
}

static unsigned reports; /* written so far */

static void write_stats(void)
{
    const char *file = PYM_OPTION_TEXT_OF(stats_file);
    if (file == NULL) {
        write_to(report_to);
        return;
    }
    int fd = pym_process_create(file, reports);
    if (fd >= 0) {
        write_to(fd);
        pym_process_close(fd);
    }
}

static void write_profile(const char *reason)
{
    const char *file = PYM_OPTION_TEXT_OF(profile_file);
    int fd = pym_process_create(file != NULL ? file : "pymalloc.%p.%n.heap", reports);
    if (fd >= 0) {
        (void)pym_profile_write(fd, reason);
        pym_process_close(fd);
    }
}

/* A signal asks for all there is to report. */
static void write_reports(void)
{
    reports++;
    if (PYM_OPTION(stats) != 0 || pym_profile_interval == 0) {
        write_stats();
    }
    if (pym_profile_interval != 0) {
        write_profile("signal");
    }
}

static bool is_reporting(void)
{
    return PYM_OPTION(stats) != 0 || PYM_OPTION(signal) != 0;
}

void pym_observe_start(void)
{
    if (is_reporting() && PYM_OPTION_TEXT_OF(stats_file) == NULL) {
        keep_standard_error();
    }
    pym_server_start(write_reports);
}

void pym_observe_finish(void)
{
    reports++;
    if (PYM_OPTION(stats) != 0) {
        write_stats();
    }
    if (pym_profile_interval != 0) {
        write_profile("exit");
    }
}

void pym_observe_after_fork(void)
{
    pym_server_after_fork();
}
