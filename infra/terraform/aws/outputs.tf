output "store" {
  description = "For GREENLIGHT_STORE or GREENLIGHT_MIRRORS."
  value       = "s3://${aws_s3_bucket.store.id}/${var.prefix}?region=${aws_s3_bucket.store.region}"
}

output "roles" {
  description = "For writers and for readers."
  value       = { writer = aws_iam_role.writer.arn, reader = aws_iam_role.reader.arn }
}
