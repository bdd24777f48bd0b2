-- Revenue by customer and month: the rates of the loads delivered in the month.
SELECT
    customer_name AS customer,
    substr(delivered_at, 1, 7) AS month,
    COUNT(*) AS loads,
    SUM(customer_rate_amount) AS revenue
FROM loads
WHERE delivered_at IS NOT NULL AND is_deleted IS NOT TRUE AND _missing_since IS NULL
GROUP BY customer_id, customer_name, month
ORDER BY customer, month
