-- +goose Up

-- What is due when, for each schedule and account.
CREATE TABLE restante_due (
	schedule TEXT   NOT NULL,
	account  TEXT   NOT NULL, -- empty: the whole repository's
	rule     TEXT   NOT NULL, -- the time table that next_at was found with
	next_at  BIGINT NOT NULL, -- milliseconds since 1970, as all times here
	PRIMARY KEY (schedule, account)
);
CREATE INDEX restante_due_next ON restante_due (next_at);

-- Numbers for runs and machines, the same way on each database.
CREATE TABLE restante_number (
	name TEXT   PRIMARY KEY,
	last BIGINT NOT NULL
);

CREATE TABLE restante_run (
	id         BIGINT  PRIMARY KEY,
	kind       TEXT    NOT NULL,
	account    TEXT    NOT NULL,
	schedule   TEXT    NOT NULL,
	server     TEXT    NOT NULL,
	lane       TEXT    NOT NULL,
	priority   INTEGER NOT NULL,
	state      TEXT    NOT NULL,
	over       INTEGER NOT NULL, -- 1: the state is a last one
	due_at     BIGINT  NOT NULL,
	not_until  BIGINT  NOT NULL,
	given_at   BIGINT  NOT NULL, -- by the database's clock
	started_at BIGINT  NOT NULL,
	ended_at   BIGINT  NOT NULL,
	turn       INTEGER NOT NULL,
	tries      INTEGER NOT NULL,
	machine_id BIGINT  NOT NULL, -- that has it; 0: none
	machine    TEXT    NOT NULL,
	snapshot   TEXT    NOT NULL,
	result     TEXT    NOT NULL,
	error      TEXT    NOT NULL,
	class      TEXT    NOT NULL
);
-- One run of a kind and an account at a time.
CREATE UNIQUE INDEX restante_run_one ON restante_run (kind, account) WHERE over = 0;
CREATE INDEX restante_run_open ON restante_run (state, server) WHERE over = 0;
CREATE INDEX restante_run_account ON restante_run (account, kind, id);
CREATE INDEX restante_run_ended ON restante_run (ended_at);

-- The last run of each kind and account that is over, and the last good one.
CREATE TABLE restante_last (
	kind    TEXT   NOT NULL,
	account TEXT   NOT NULL,
	run     BIGINT NOT NULL,
	good    BIGINT NOT NULL, -- 0: none was
	PRIMARY KEY (kind, account)
);

-- The processes that serve.
CREATE TABLE restante_machine (
	id      BIGINT  PRIMARY KEY,
	name    TEXT    NOT NULL,
	at_once INTEGER NOT NULL,
	seen_at BIGINT  NOT NULL, -- by the database's clock
	started_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE restante_last;
DROP TABLE restante_machine;
DROP TABLE restante_run;
DROP TABLE restante_number;
DROP TABLE restante_due;
