"""What is put on paper or into files of an office: evaluation reports as PDF, Word and Excel, sheets to fill in.

Every file is made from the same content object as the page, so that they can never disagree.
"""
