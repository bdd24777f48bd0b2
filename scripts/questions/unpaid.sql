-- What customers owe at the end of the day :as_of, by currency, by whether a factor bought the invoice (one of its loads
-- is Financed), and by days past due: totals less the payments up to that day. Drafts do not count.
-- The dates of invoices and payments are days already, written as midnights: they are never shifted into a zone.
WITH balances AS (
    SELECT
        invoices.total_currency AS currency,
        EXISTS (
            SELECT 1
            FROM invoice_loads AS billed
            JOIN loads ON loads._tenant = billed._tenant AND loads.id = billed.id
            WHERE
                billed._tenant = invoices._tenant AND billed.invoice_id = invoices.id AND loads.status = 'Financed'
                AND loads._missing_since IS NULL AND loads.is_deleted IS NOT TRUE
        ) AS is_financed,
        julianday(:as_of) - julianday(date(COALESCE(invoices.due_date, invoices.invoiced_date))) AS days,
        CAST(ROUND(100 * invoices.total_amount) AS INTEGER) - COALESCE(
            (
                SELECT SUM(CAST(ROUND(100 * payment.amount) AS INTEGER))
                FROM invoice_payments AS payment
                WHERE
                    payment._tenant = invoices._tenant AND payment.invoice_id = invoices.id
                    AND date(payment.payment_date) <= :as_of
            ),
            0
        ) AS cents
    FROM invoices
    WHERE invoices._missing_since IS NULL AND invoices.status <> 'Draft' AND date(invoices.invoiced_date) <= :as_of
)

SELECT
    currency,
    is_financed,
    CASE
        WHEN days >= 90 THEN '90 and over'
        WHEN days >= 60 THEN '60-89'
        WHEN days >= 30 THEN '30-59'
        WHEN days >= 1 THEN 'under 30'
        ELSE 'current'
    END AS bucket,
    COUNT(*) AS invoices,
    SUM(cents) AS cents
FROM balances
WHERE cents <> 0
GROUP BY 1, 2, 3
ORDER BY 1, 2, MIN(days)
