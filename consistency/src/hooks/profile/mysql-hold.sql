-- Behind a long query the lock would wait, and all writers behind the lock.
SET SESSION lock_wait_timeout = 10;
-- The server lets go by itself when nobody comes back.
SET SESSION wait_timeout = 120;
FLUSH TABLES WITH READ LOCK;
-- Of no concern to replicas.
FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS;
SELECT 'held';
