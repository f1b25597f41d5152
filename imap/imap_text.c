/* SPDX-License-Identifier: MIT */
#include "imap_text.h"

#include <string.h>
#include <strings.h>

#include "err.h"

#define DAY_SECONDS 86400
#define ZONE_MAX_MIN (24 * 60 - 1)
#define YEAR_MAX 9999

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* Days from 1970-01-01 in the proleptic Gregorian calendar; month 1 to 12. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
	int64_t era, year_of_era, day_of_year;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	year_of_era = year - era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t era, day_of_era, year_of_era, day_of_year, shifted;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) /
	              365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	shifted = (5 * day_of_year + 2) / 153;
	*day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
	*month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

struct cursor {
	const char *p, *end;
};

static bool take_char(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

/* Between `min` and `max` digits; -1: not so. */
static int take_number(struct cursor *c, int min, int max)
{
	int n = 0, digits = 0;

	for (; digits < max && c->p < c->end && *c->p >= '0' && *c->p <= '9'; digits++)
		n = n * 10 + (*c->p++ - '0');
	return digits >= min ? n : -1;
}

static int take_month(struct cursor *c)
{
	if (c->end - c->p < 3)
		return -1;
	for (int i = 0; i < 12; i++)
		if (strncasecmp(c->p, month_names[i], 3) == 0) {
			c->p += 3;
			return i + 1;
		}
	return -1;
}

static bool take_zone(struct cursor *c, int *zone_min)
{
	bool west = take_char(c, '-');
	int hhmm;

	if (!west && !take_char(c, '+'))
		return false;
	hhmm = take_number(c, 4, 4);
	if (hhmm < 0 || hhmm / 100 > 23 || hhmm % 100 > 59)
		return false;
	*zone_min = (hhmm / 100 * 60 + hhmm % 100) * (west ? -1 : 1);
	return true;
}

static bool take_day(struct cursor *c, int *year, int *month, int *day)
{
	bool padded = take_char(c, ' ');

	*day = take_number(c, 1, padded ? 1 : 2);
	if (*day < 1 || !take_char(c, '-'))
		return false;
	*month = take_month(c);
	if (*month < 1 || !take_char(c, '-'))
		return false;
	*year = take_number(c, 4, 4);
	return *year >= 0 && *day <= days_in_month(*year, *month);
}

/* A leap second (60) counts as the second that follows. */
static bool take_time(struct cursor *c, int *seconds)
{
	int h, m = -1, s = -1;

	h = take_number(c, 2, 2);
	if (take_char(c, ':'))
		m = take_number(c, 2, 2);
	if (take_char(c, ':'))
		s = take_number(c, 2, 2);
	if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
		return false;
	*seconds = h * 3600 + m * 60 + s;
	return true;
}

int imap_date_parse(const char *s, size_t len, int64_t *seconds, int *zone_min)
{
	struct cursor c = { s, s + len };
	int year, month, day, time, zone;

	if (!take_day(&c, &year, &month, &day) || !take_char(&c, ' ') || !take_time(&c, &time) ||
	    !take_char(&c, ' ') || !take_zone(&c, &zone) || c.p != c.end)
		return ERR_INVAL;
	*seconds = days_from_civil(year, month, day) * DAY_SECONDS + time - zone * 60;
	*zone_min = zone;
	return 0;
}

static int64_t clamp(int64_t n, int64_t low, int64_t high)
{
	return n < low ? low : n > high ? high : n;
}

/* A date that the four digits of a year cannot hold becomes the nearest that they can. */
static int64_t local_seconds(int64_t seconds, int *zone_min)
{
	int64_t low = days_from_civil(0, 1, 1) * DAY_SECONDS;
	int64_t high = days_from_civil(YEAR_MAX + 1, 1, 1) * DAY_SECONDS - 1;

	*zone_min = (int)clamp(*zone_min, -ZONE_MAX_MIN, ZONE_MAX_MIN);
	seconds = clamp(seconds, low - DAY_SECONDS, high + DAY_SECONDS);
	return clamp(seconds + *zone_min * 60, low, high);
}

static void split_day(int64_t local, int *year, int *month, int *day, int *time)
{
	int64_t days = local / DAY_SECONDS, rest = local % DAY_SECONDS;

	if (rest < 0) {
		rest += DAY_SECONDS;
		days--;
	}
	civil_from_days(days, year, month, day);
	*time = (int)rest;
}

static char *put_text(char *out, const char *s)
{
	while (*s != '\0')
		*out++ = *s++;
	*out = '\0';
	return out;
}

/* The last `width` digits of `n`. */
static char *put_digits(char *out, int n, int width)
{
	for (int i = width - 1; i >= 0; i--, n /= 10)
		out[i] = (char)('0' + n % 10);
	out[width] = '\0';
	return out + width;
}

static char *put_day(char *out, int day, int month, int year)
{
	out = put_digits(out, day, day < 10 ? 1 : 2);
	out = put_text(out, "-");
	out = put_text(out, month_names[month - 1]);
	out = put_text(out, "-");
	return put_digits(out, year, 4);
}

static char *put_time(char *out, int time)
{
	out = put_digits(out, time / 3600, 2);
	out = put_text(out, ":");
	out = put_digits(out, time / 60 % 60, 2);
	out = put_text(out, ":");
	return put_digits(out, time % 60, 2);
}

void imap_date_format(char out[IMAP_DATE_MAX], int64_t seconds, int zone_min)
{
	int year, month, day, time, zone;

	split_day(local_seconds(seconds, &zone_min), &year, &month, &day, &time);
	zone = zone_min < 0 ? -zone_min : zone_min;
	out = put_text(out, day < 10 ? " " : "");
	out = put_day(out, day, month, year);
	out = put_text(out, " ");
	out = put_time(out, time);
	out = put_text(out, zone_min < 0 ? " -" : " +");
	put_digits(out, zone / 60 * 100 + zone % 60, 4);
}

void imap_day_format(char out[IMAP_DATE_MAX], int64_t seconds, int zone_min)
{
	int year, month, day, time;

	split_day(local_seconds(seconds, &zone_min), &year, &month, &day, &time);
	put_day(out, day, month, year);
}

bool imap_atom_char(char c)
{
	return c > 0x20 && c < 0x7f && strchr("(){%*\"\\]", c) == NULL;
}

bool imap_flag_valid(const char *flag, size_t len)
{
	if (len > 0 && *flag == '\\') {
		flag++;
		len--;
		if (len == 6 && strncasecmp(flag, "Recent", 6) == 0)
			return false;
	}
	for (size_t i = 0; i < len; i++)
		if (!imap_atom_char(flag[i]))
			return false;
	return len > 0;
}
