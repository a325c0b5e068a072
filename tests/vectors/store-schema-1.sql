-- A store as the first migration made it, with one choice, one page view, its visit, two counts and a key.
BEGIN TRANSACTION;
CREATE TABLE browsers (
        hour BIGINT NOT NULL CONSTRAINT browsers_hour CHECK (hour BETWEEN 0 AND 253402300799999999 AND hour % 3600000000 = 0),
        host VARCHAR(255) NOT NULL CONSTRAINT browsers_host CHECK (length(host) <= 255),
        browser VARCHAR(100) NOT NULL CONSTRAINT browsers_browser CHECK (length(browser) <= 100),
        views BIGINT NOT NULL CONSTRAINT browsers_views CHECK (views >= 1),
        PRIMARY KEY (hour, host, browser)
    ) WITHOUT ROWID
    ;
INSERT INTO "browsers" VALUES(1795262400000000,'example.com','Firefox',1);
CREATE TABLE consents (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        record_id VARCHAR(64) NOT NULL CONSTRAINT consents_record_id UNIQUE
            CONSTRAINT consents_record_id_length CHECK (length(record_id) BETWEEN 1 AND 64),
        consent_id VARCHAR(64) NOT NULL
            CONSTRAINT consents_consent_id CHECK (length(consent_id) BETWEEN 1 AND 64),
        at BIGINT NOT NULL CONSTRAINT consents_at CHECK (at BETWEEN 0 AND 253402300799999999),
        valid_until BIGINT NOT NULL
            CONSTRAINT consents_valid_until CHECK (valid_until BETWEEN 0 AND 253402300799999999 AND valid_until >= at),
        method VARCHAR(10) NOT NULL
            CONSTRAINT consents_method CHECK (method IN ('accept', 'reject', 'save', 'allow')),
        source VARCHAR(100) NOT NULL CONSTRAINT consents_source CHECK (length(source) <= 100),
        choices TEXT NOT NULL CONSTRAINT consents_choices CHECK (length(choices) BETWEEN 2 AND 65536),
        outcome VARCHAR(10) NOT NULL
            CONSTRAINT consents_outcome CHECK (outcome IN ('accepted', 'partly', 'rejected')),
        policy_version VARCHAR(200) NOT NULL
            CONSTRAINT consents_policy_version CHECK (length(policy_version) <= 200),
        banner_hash VARCHAR(128) NOT NULL CONSTRAINT consents_banner_hash CHECK (length(banner_hash) <= 128),
        locale VARCHAR(35) NOT NULL CONSTRAINT consents_locale CHECK (length(locale) <= 35),
        host VARCHAR(255) NOT NULL CONSTRAINT consents_host CHECK (length(host) <= 255),
        path VARCHAR(2048) NOT NULL CONSTRAINT consents_path CHECK (length(path) <= 2048),
        gpc BOOLEAN NOT NULL CONSTRAINT consents_gpc CHECK (gpc IN (false, true)),
        dnt BOOLEAN NOT NULL CONSTRAINT consents_dnt CHECK (dnt IN (false, true)),
        country VARCHAR(2) NOT NULL CONSTRAINT consents_country CHECK (length(country) IN (0, 2)),
        profile VARCHAR(100) NOT NULL CONSTRAINT consents_profile CHECK (length(profile) <= 100)
    );
INSERT INTO "consents" VALUES(1,'11111111-1111-4111-8111-111111111111','visitor-0',1795262400000000,1810814400000000,'save','banner','{"analytics":true,"marketing":false}','partly','2026-11-21','0000000000000000000000000000000000000000000000000000000000000000','en','example.com','/news',0,0,'DE','strict-eu');
CREATE TABLE cookiegate_migrations (
        number INTEGER NOT NULL PRIMARY KEY,
        name VARCHAR(200) NOT NULL,
        applied_at BIGINT NOT NULL
    );
INSERT INTO "cookiegate_migrations" VALUES(1,'consents, usage, visits, counters, keys and salts',1795262400000000);
CREATE TABLE counters (
        hour BIGINT NOT NULL CONSTRAINT counters_hour CHECK (hour BETWEEN 0 AND 253402300799999999 AND hour % 3600000000 = 0),
        host VARCHAR(255) NOT NULL CONSTRAINT counters_host CHECK (length(host) <= 255),
        page VARCHAR(2048) NOT NULL CONSTRAINT counters_page CHECK (length(page) <= 2048),
        country VARCHAR(2) NOT NULL CONSTRAINT counters_country CHECK (length(country) IN (0, 2)),
        consented BOOLEAN NOT NULL CONSTRAINT counters_consented CHECK (consented IN (false, true)),
        undecided BOOLEAN NOT NULL CONSTRAINT counters_undecided CHECK (undecided IN (false, true)),
        views BIGINT NOT NULL CONSTRAINT counters_views CHECK (views >= 1),
        PRIMARY KEY (hour, host, page, country, consented, undecided)
    ) WITHOUT ROWID
    ;
INSERT INTO "counters" VALUES(1795262400000000,'example.com','/news','DE',0,1,2);
CREATE TABLE keys (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        key BLOB NOT NULL CONSTRAINT keys_key UNIQUE CONSTRAINT keys_length CHECK (length(key) = 32),
        created_at BIGINT NOT NULL CONSTRAINT keys_created_at CHECK (created_at BETWEEN 0 AND 253402300799999999)
    );
INSERT INTO "keys" VALUES(1,X'ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB',1795262400000000);
CREATE TABLE salts (
        day VARCHAR(10) NOT NULL PRIMARY KEY CONSTRAINT salts_day CHECK (day LIKE '____-__-__'),
        salt BLOB NOT NULL CONSTRAINT salts_length CHECK (length(salt) = 32)
    );
CREATE TABLE usage (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at BIGINT NOT NULL CONSTRAINT usage_at CHECK (at BETWEEN 0 AND 253402300799999999),
        visit_id VARCHAR(32) CONSTRAINT usage_visit_id REFERENCES visits (id) ON DELETE SET NULL,
        position INTEGER CONSTRAINT usage_position CHECK (position >= 1),
        host VARCHAR(255) NOT NULL CONSTRAINT usage_host CHECK (length(host) <= 255),
        path VARCHAR(2048) NOT NULL CONSTRAINT usage_path CHECK (length(path) <= 2048),
        purpose VARCHAR(100) NOT NULL CONSTRAINT usage_purpose CHECK (length(purpose) BETWEEN 1 AND 100),
        basis VARCHAR(20) NOT NULL CONSTRAINT usage_basis CHECK (basis IN (
            'consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task',
            'legitimate_interests'
        )),
        policy_version VARCHAR(200) NOT NULL
            CONSTRAINT usage_policy_version CHECK (length(policy_version) <= 200),
        consent_id VARCHAR(64) NOT NULL CONSTRAINT usage_consent_id CHECK (length(consent_id) <= 64),
        status INTEGER NOT NULL CONSTRAINT usage_status CHECK (status BETWEEN 100 AND 599),
        duration_ms INTEGER NOT NULL CONSTRAINT usage_duration_ms CHECK (duration_ms >= 0),
        referrer VARCHAR(2048) CONSTRAINT usage_referrer CHECK (length(referrer) <= 2048),
        ip VARCHAR(45) CONSTRAINT usage_ip CHECK (length(ip) <= 45),
        country VARCHAR(2) CONSTRAINT usage_country CHECK (length(country) IN (0, 2)),
        browser VARCHAR(100) CONSTRAINT usage_browser CHECK (length(browser) <= 100),
        browser_version VARCHAR(100) CONSTRAINT usage_browser_version CHECK (length(browser_version) <= 100),
        os VARCHAR(100) CONSTRAINT usage_os CHECK (length(os) <= 100),
        os_version VARCHAR(100) CONSTRAINT usage_os_version CHECK (length(os_version) <= 100),
        device VARCHAR(10)
            CONSTRAINT usage_device CHECK (device IN ('desktop', 'mobile', 'tablet', 'other')),
        CONSTRAINT usage_place CHECK ((visit_id IS NULL) OR (position IS NOT NULL))
    );
INSERT INTO "usage" VALUES(1,1795262400000000,'5992d8492ef18d68',1,'example.com','/page/0','analytics','consent','2026-11-21','visitor-0',200,12,NULL,NULL,NULL,'Firefox',NULL,NULL,NULL,'desktop');
CREATE TABLE visits (
        id VARCHAR(32) NOT NULL PRIMARY KEY CONSTRAINT visits_id CHECK (length(id) BETWEEN 1 AND 32),
        key VARCHAR(128) CONSTRAINT visits_key UNIQUE
            CONSTRAINT visits_key_length CHECK (length(key) BETWEEN 1 AND 128),
        host VARCHAR(255) NOT NULL CONSTRAINT visits_host CHECK (length(host) <= 255),
        started_at BIGINT NOT NULL CONSTRAINT visits_started_at CHECK (started_at BETWEEN 0 AND 253402300799999999),
        last_at BIGINT NOT NULL CONSTRAINT visits_last_at CHECK (last_at BETWEEN 0 AND 253402300799999999 AND last_at >= started_at),
        views INTEGER NOT NULL CONSTRAINT visits_views CHECK (views >= 1),
        entry_path VARCHAR(2048) NOT NULL CONSTRAINT visits_entry_path CHECK (length(entry_path) <= 2048),
        exit_path VARCHAR(2048) NOT NULL CONSTRAINT visits_exit_path CHECK (length(exit_path) <= 2048)
    );
INSERT INTO "visits" VALUES('5992d8492ef18d68',NULL,'example.com',1795262400000000,1795262400000000,1,'/page/0','/page/0');
CREATE INDEX consents_by_moment ON consents (at);
CREATE INDEX consents_by_visitor ON consents (consent_id, seq);
CREATE INDEX visits_by_moment ON visits (started_at);
CREATE INDEX usage_by_moment ON usage (at);
CREATE INDEX usage_by_visit ON usage (visit_id);
CREATE INDEX usage_by_visitor ON usage (consent_id);
COMMIT;
