-- What the worker reads of PostHog's database, with the teams of the sample.
CREATE TABLE posthog_team (
    id integer PRIMARY KEY,
    api_token varchar(200),
    capture_console_log_opt_in boolean,
    session_recording_opt_in boolean NOT NULL,
    session_recording_retention_period varchar(10)
);
INSERT INTO posthog_team VALUES
    (1, 'phc_Lingo5tB8nWj6', true, true, '30d'),
    (2, 'phc_TodoApp7hG2sKq1', true, true, '30d'),
    (3, 'phc_DebugTools1aE3rUy0', true, true, '90d'),
    (4, 'phc_NorthwindAdmin3xR9pLd5', false, true, '90d'),
    (5, 'phc_StudioMedia9zV4cXm2', true, true, '1y');
