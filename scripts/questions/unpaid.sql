-- Unpaid invoices by age: days since the invoice date.
WITH unpaid AS (
    SELECT julianday('now') - julianday(invoiced_date) AS age, remaining_balance_amount AS amount
    FROM invoices
    WHERE status = 'AwaitingPayment' AND _missing_since IS NULL
)
SELECT
    CASE WHEN age < 31 THEN '0-30 days' WHEN age < 61 THEN '31-60 days' WHEN age < 91 THEN '61-90 days' ELSE 'over 90 days' END AS age,
    COUNT(*) AS invoices,
    SUM(amount) AS amount
FROM unpaid
GROUP BY 1
ORDER BY 1
