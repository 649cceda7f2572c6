-- +goose Up

-- What is wrong, and not over. The history says it again if this is lost.
CREATE TABLE restante_alert (
	source   TEXT   NOT NULL, -- who found it, and says when it is over
	name     TEXT   NOT NULL,
	topic    TEXT   NOT NULL, -- those of one topic are one message
	kind     TEXT   NOT NULL,
	account  TEXT   NOT NULL,
	server   TEXT   NOT NULL,
	text     TEXT   NOT NULL,
	since_at BIGINT NOT NULL,
	PRIMARY KEY (source, name)
);

-- What was said of a topic, and in which way.
CREATE TABLE restante_notice (
	topic      TEXT    NOT NULL,
	way        TEXT    NOT NULL,
	version    BIGINT  NOT NULL, -- whoever changes it makes it one more
	title      TEXT    NOT NULL, -- of the last message
	due_at     BIGINT  NOT NULL, -- when the next message is
	claimed_at BIGINT  NOT NULL, -- until then a machine is sending it; 0: none
	sent       INTEGER NOT NULL, -- messages, so far
	sent_at    BIGINT  NOT NULL,
	told       INTEGER NOT NULL, -- alerts that the last message was of
	clearing   INTEGER NOT NULL, -- 1: the next message says that it is over
	tries      INTEGER NOT NULL, -- of the next message that failed
	error      TEXT    NOT NULL,
	PRIMARY KEY (topic, way)
);

-- +goose Down
DROP TABLE restante_notice;
DROP TABLE restante_alert;
