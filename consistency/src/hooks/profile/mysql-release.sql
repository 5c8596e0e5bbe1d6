-- Fails when the session, and so the lock, was lost meanwhile.
SELECT 'kept';
UNLOCK TABLES;
